/**
 * An intruder with the right to write to a bucket, who exchanges, deletes, cuts, replays and plants objects of every
 * kind while commands run; and the bucket put back to what it was before.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { seeded, type Random } from '../fuzz/mutate.ts';

/** All rights on objects; on single versions only where that is asked for. */
export async function letAnybodyWrite(owner: S3Client, bucket: string, versions: boolean): Promise<void> {
  const rights = ['PutObject', 'GetObject', 'GetObjectVersion', 'DeleteObject', 'ListBucket', 'ListBucketVersions'];
  const Action = [...rights, ...(versions ? ['DeleteObjectVersion'] : [])].map((right) => `s3:${right}`);
  const Resource = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`];
  const Statement = [{ Effect: 'Allow', Principal: { AWS: ['*'] }, Action, Resource }];
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
  await owner.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
}

/** What is in a bucket now, by key. */
export async function contentsOf(client: S3Client, bucket: string): Promise<Map<string, Buffer>> {
  const contents = new Map<string, Buffer>();
  for (const key of await keysIn(client, bucket)) contents.set(key, await bytesOf(client, bucket, key));
  return contents;
}

async function keysIn(client: S3Client, Bucket: string): Promise<string[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
  return Contents.map(({ Key = '' }) => Key);
}

async function bytesOf(client: S3Client, Bucket: string, Key: string): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

interface StoredVersion {
  readonly Key: string;
  readonly VersionId: string | undefined;
  /** Undefined for a marker. */
  readonly ETag: string | undefined;
}

async function versionsIn(client: S3Client, Bucket: string): Promise<StoredVersion[]> {
  const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket }));
  return [...Versions, ...DeleteMarkers.map((each) => ({ ...each, ETag: undefined }))].map(
    ({ Key = '', VersionId, ETag }) => ({ Key, VersionId, ETag }),
  );
}

const nameOf = ({ Key, VersionId, ETag }: StoredVersion): string => `${Key} ${VersionId} ${ETag}`;

/** A state to come back to. */
export class BucketState {
  readonly contents: ReadonlyMap<string, Buffer>;
  readonly #owner: S3Client;
  readonly #bucket: string;
  readonly #known: Set<string>;

  private constructor(owner: S3Client, bucket: string, contents: Map<string, Buffer>, known: Set<string>) {
    this.contents = contents;
    this.#owner = owner;
    this.#bucket = bucket;
    this.#known = known;
  }

  static async of(owner: S3Client, bucket: string): Promise<BucketState> {
    const known = new Set((await versionsIn(owner, bucket)).map(nameOf));
    return new BucketState(owner, bucket, await contentsOf(owner, bucket), known);
  }

  /** Takes away what has come since, locked or not, and writes anew what is gone. */
  async putBack(): Promise<void> {
    for (const each of await versionsIn(this.#owner, this.#bucket)) {
      if (this.#known.has(nameOf(each))) continue;
      const { Key, VersionId } = each;
      await this.#owner.send(
        new DeleteObjectCommand({ Bucket: this.#bucket, Key, VersionId, BypassGovernanceRetention: true }),
      );
    }
    const there = new Set(await keysIn(this.#owner, this.#bucket));
    for (const [key, bytes] of this.contents) {
      if (there.has(key)) continue;
      await this.#owner.send(
        new PutObjectCommand({ Bucket: this.#bucket, Key: key, Body: bytes, ChecksumAlgorithm: 'CRC32' }),
      );
      const head = await this.#owner.send(new HeadObjectCommand({ Bucket: this.#bucket, Key: key }));
      this.#known.add(nameOf({ Key: key, VersionId: head.VersionId, ETag: head.ETag }));
    }
  }
}

export interface BucketIntruder {
  readonly client: S3Client;
  readonly bucket: string;
  /** Seen before: to be put anywhere again. */
  readonly known: ReadonlyMap<string, Buffer>;
  /** Of a repository with another key, whose content nobody here may get. */
  readonly foreign: ReadonlyMap<string, Buffer>;
  /** He may delete single versions. */
  readonly versions: boolean;
  readonly seed: number;
}

const kindOf = (key: string): string => key.replace(/\/.*/, '');

/** One act after the other, with a pause, until it is stopped. Tells what was done. */
export function startBucketIntruder(intruder: BucketIntruder, pauseMs: number): { stop(): Promise<string[]> } {
  const done: string[] = [];
  const next = seeded(intruder.seed);
  let isStopped = false;
  const loop = (async () => {
    while (!isStopped) {
      done.push(await actOnce(intruder, next));
      await sleep(pauseMs);
    }
  })();
  return {
    stop: async () => {
      isStopped = true;
      await loop;
      return done;
    },
  };
}

/** So many acts at once. Tells what was done. */
export async function intrude(intruder: BucketIntruder, acts: number): Promise<string[]> {
  const next = seeded(intruder.seed);
  const done: string[] = [];
  for (let n = 0; n < acts; n++) done.push(await actOnce(intruder, next));
  return done;
}

/** Each kind of object is as likely as another, however many there are of it. */
async function actOnce(intruder: BucketIntruder, next: Random): Promise<string> {
  const keys = await keysIn(intruder.client, intruder.bucket);
  const kinds = [...new Set(keys.map(kindOf))];
  const kind = kinds[next(kinds.length)] ?? '';
  const ofKind = keys.filter((key) => kindOf(key) === kind);
  const key = ofKind[next(ofKind.length)] ?? 'repository.json';
  const act = acts[next(acts.length)] ?? plant;
  try {
    return `${act.name} ${await act(intruder, key, next)}`;
  } catch (error) {
    // Somebody was quicker, or what is there is locked.
    return `${act.name} ${key}: ${String(error)}`;
  }
}

type Act = (intruder: BucketIntruder, key: string, next: Random) => Promise<string>;

async function put({ client, bucket }: BucketIntruder, Key: string, Body: Buffer): Promise<string> {
  await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body, ChecksumAlgorithm: 'CRC32' }));
  return Key;
}

const remove: Act = async ({ client, bucket }, Key) => {
  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
  return Key;
};

const removeVersion: Act = async (intruder, key, next) => {
  if (!intruder.versions) return remove(intruder, key, next);
  const all = (await versionsIn(intruder.client, intruder.bucket)).filter(({ Key }) => Key === key);
  const { VersionId } = all[next(all.length)] ?? {};
  await intruder.client.send(new DeleteObjectCommand({ Bucket: intruder.bucket, Key: key, VersionId }));
  return `${key} ${VersionId}`;
};

const cut: Act = async (intruder, key, next) => {
  const bytes = await bytesOf(intruder.client, intruder.bucket, key);
  return put(intruder, key, bytes.subarray(0, next(bytes.length)));
};

const flip: Act = async (intruder, key, next) => {
  const bytes = await bytesOf(intruder.client, intruder.bucket, key);
  const at = next(bytes.length);
  bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
  return put(intruder, key, bytes);
};

/** The content of another one of its kind, or of any kind. */
const exchange: Act = async (intruder, key, next) => {
  const all = [...intruder.known];
  const alike = all.filter(([other]) => other !== key && kindOf(other) === kindOf(key));
  const from = alike.length > 0 && next(4) > 0 ? alike : all;
  return put(intruder, key, from[next(from.length)]?.[1] ?? Buffer.alloc(0));
};

const replay: Act = async (intruder, _key, next) => {
  const [key, bytes] = [...intruder.known][next(intruder.known.size)] ?? ['x', Buffer.alloc(0)];
  return put(intruder, key, bytes);
};

/** What another key sealed, in the place of ours or beside it. */
const foreign: Act = async (intruder, key, next) => {
  const all = [...intruder.foreign];
  const alike = all.filter(([other]) => kindOf(other) === kindOf(key));
  const from = alike.length > 0 ? alike : all;
  const [name, bytes] = from[next(from.length)] ?? ['x', Buffer.alloc(0)];
  return put(intruder, next(2) === 0 ? key : name, bytes);
};

const hide: Act = async (intruder, _key, next) => {
  const manifests = (await keysIn(intruder.client, intruder.bucket)).filter((key) => key.startsWith('manifests/'));
  const key = manifests[next(manifests.length)];
  if (key === undefined) return 'nothing';
  await put(intruder, key.replace('manifests/', 'trash/'), await bytesOf(intruder.client, intruder.bucket, key));
  return remove(intruder, key, next);
};

/** Names of every kind with the largest number or time there is, and junk, or something known, in them. */
const plant: Act = async (intruder, key, next) => {
  const ids = [...intruder.known.keys()].flatMap((each) => /^manifests\/(.*)\.json$/.exec(each)?.[1] ?? []);
  const id = ids[next(ids.length)] ?? '';
  const [last, host] = ['99991231T235959Z', [...intruder.known.keys()].find((each) => each.startsWith('audit/')) ?? ''];
  const wal = [...intruder.known.keys()].find((each) => each.startsWith('wal/'))?.split('/')[1] ?? '1';
  const names = [
    `manifests/${last}-main-full-ffffffff.json`,
    `manifests/${id}.json`,
    `trash/${last}-main-full-ffffffff.json`,
    `trash/${id}.json`,
    `keys/${'f'.repeat(32)}.json`,
    `backups/${id}/keys.json`,
    `backups/${last}-main-full-ffffffff/facts`,
    `evidence/${id}/${last}-drill-ok.json`,
    `evidence/${id}/${last}-pitr-failed.json`,
    `notes/${id}/${last}-ffff.json`,
    `notes/${id}/${last}-ffff-moved.json`,
    `${host.slice(0, host.lastIndexOf('/'))}/${'9'.repeat(20)}.json`,
    'audit/elsewhere/00000000000000000001.json',
    'locks/cleanup/ffffffffffffffff.json',
    'locks/backup-main/ffffffffffffffff.json',
    'locks/read/ffffffffffffffff.broken',
    `wal/${wal}/FFFFFFFF/FFFFFFFF/FFFFFFFFFFFFFFFF000000FF.wal`,
    `wal/${wal}/00000001/00000000/0000000100000000000000FF.wal`,
    `wal/${wal}/history/00000002.history.wal`,
    `wal/${'9'.repeat(20)}/00000001/00000000/000000010000000000000001.wal`,
    'packs/ff/not-a-pack',
    'rescue/rescue.mjs',
    'unknown/../odd name\n\u202e',
    'unknown/more',
  ];
  const contents = [Buffer.alloc(0), Buffer.from('{}'), Buffer.from('['.repeat(60_000)), Buffer.alloc(300_000, 'junk')];
  const content = next(3) === 0 ? intruder.known.get(key) : contents[next(contents.length)];
  return put(intruder, names[next(names.length)] ?? '', content ?? Buffer.alloc(0));
};

/** Each as often as it is to be chosen. */
const acts: readonly Act[] = [
  ...[remove, removeVersion, cut, flip, exchange, foreign, plant].flatMap((act) => [act, act]),
  plant,
  plant,
  exchange,
  replay,
  hide,
];
