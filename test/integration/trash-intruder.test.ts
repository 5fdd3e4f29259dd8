/**
 * An intruder who can write to a bucket that keeps versions, and delete, but no version: he moves backups to trash,
 * where a cleanup of ours would finish his work. On a real S3 server, under a bucket policy.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { accountRepository } from '../../src/operations/integrity/integrity.ts';
import { cleanRepository } from '../../src/operations/cleanup/cleanup.ts';
import { undelete } from '../../src/operations/cleanup/undelete.ts';
import type { CleanupRequest, CleanupResult } from '../../src/operations/cleanup/request.ts';
import { list } from '../../src/operations/list/list.ts';
import type { LifeboatEvent } from '../../src/lib/events.ts';
import { status } from '../../src/operations/status/status.ts';
import { createRepository } from '../../src/repository/create.ts';
import { hold } from '../../src/operations/cleanup/hold.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { openStorage } from '../../src/storage/open.ts';
import { streamArtifact } from '../helpers/repository/chunk-repository.ts';
import { keepLast, quiet, readEveryBackup } from '../helpers/repository/cleanup-home.ts';
import { backUp, encryption } from '../helpers/repository/repository.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';

const folder = mkdtempSync(join(tmpdir(), 'trash-'));
const key = '0f'.repeat(32);
let server: TestS3Server;
let intruder: S3Client;
before(async () => {
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data', 'one'), 'one');
  server = await startS3Server();
  const { accessKey: accessKeyId, secretKey: secretAccessKey } = await server.makeUser();
  intruder = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
});
after(async () => {
  intruder?.destroy();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Home {
  readonly bucket: string;
  readonly repository: Repository;
  readonly loaded: LoadedConfig;
  readonly ids: readonly string[];
  cleanup(request?: Partial<CleanupRequest>, keep?: number): Promise<CleanupResult>;
}

/** So many backups in a bucket of which the intruder has all rights but on versions. */
async function homeWith(count: number): Promise<Home> {
  const bucket = await server.makeBucket({ versions: true });
  const Action = ['s3:PutObject', 's3:GetObject', 's3:GetObjectVersion', 's3:DeleteObject', 's3:ListBucket'];
  const Resource = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`];
  const Statement = [{ Effect: 'Allow', Principal: { AWS: ['*'] }, Action, Resource }];
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
  await server.client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
  const stateDir = join(folder, `state-${bucket}`);
  const storage = await openStorage(await server.location({ bucket }));
  const { repository } = await createRepository(storage, encryption({ key }), stateDir);
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    ids.push((await backUp(repository, [streamArtifact(`part-${n}`, [Buffer.alloc(5000, `part ${n}`)])])).id);
  }
  const { endpoint, accessKey, secretKey } = server;
  const loaded = await loadConfig({
    cwd: folder,
    env: {},
    document: {
      repository: { url: `s3://${bucket}`, endpoint, pathStyle: true, accessKey, secretKey },
      encryption: { key },
      stateDir,
      targets: { main: { files: { paths: [join(folder, 'data')] } } },
    },
  });
  return {
    bucket,
    repository,
    loaded,
    ids,
    cleanup: async (request = {}, keep = count) =>
      cleanRepository(
        repository,
        { dryRun: false, acknowledge: [], adoptTrash: [], maxDelete: 100, graceMs: 1, ...request },
        quiet(),
        { policies: keepLast(keep), leastGraceMs: 0 },
      ),
  };
}

async function steal({ bucket }: Home, id: string): Promise<void> {
  await copy(bucket, `manifests/${id}.json`, `trash/${id}.json`);
  await intruder.send(new DeleteObjectCommand({ Bucket: bucket, Key: `manifests/${id}.json` }));
}

async function copy(bucket: string, from: string, to: string): Promise<void> {
  await intruder.send(new CopyObjectCommand({ Bucket: bucket, Key: to, CopySource: `${bucket}/${from}` }));
}

async function keysOf(bucket: string, prefix: string): Promise<string[]> {
  const { Contents = [] } = await server.client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }));
  return Contents.map(({ Key = '' }) => Key);
}

/** Of what backups are made of: every version, without markers. */
async function versions(bucket: string): Promise<string[]> {
  const { Versions = [] } = await server.client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
  return Versions.map(({ Key = '' }) => Key)
    .filter((each) => /^(manifests|backups|packs|notes)\//.test(each))
    .toSorted();
}

/** Grace times of these tests are a millisecond; the server's stamps are whole seconds. */
async function passGraceTime(): Promise<void> {
  await sleep(2100);
}

async function reasonsOf({ loaded }: Home): Promise<string[]> {
  const { reasons, verdict } = await status(loaded, { days: 30 }, quiet());
  const hidden = reasons.filter(({ id }) => id.startsWith('hidden:'));
  assert.ok(hidden.length === 0 || verdict === 'unhealthy');
  return hidden.map(({ id, next }) => `${id} -> ${next}`).toSorted();
}

test('what somebody else moved to trash stays, whole, and is told; undelete and adoption end it', async () => {
  const home = await homeWith(3);
  const { bucket, repository, ids } = home;
  const [first = '', second = '', third = ''] = ids;
  const stored = await versions(bucket);
  for (const id of ids) await steal(home, id);
  const { Versions = [] } = await server.client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
  const [{ Key, VersionId } = assert.fail()] = Versions;
  const removing = intruder.send(new DeleteObjectCommand({ Bucket: bucket, Key, VersionId }));
  await assert.rejects(removing, { name: 'AccessDenied' }, 'he may delete no version');
  assert.deepEqual(
    await reasonsOf(home),
    ids.map((id) => `hidden:${id} -> lifeboat undelete ${id}`),
  );
  const told: string[] = [];
  const emit = (event: LifeboatEvent): void => void (event.type === 'warning' ? told.push(event.message) : 0);
  assert.deepEqual((await list(home.loaded, {}, { ...quiet(), emit })).backups, []);
  for (const id of ids) assert.match(told.join('\n'), new RegExp(`backup ${id} lies in trash since`));
  const { findings } = await accountRepository(home.loaded, { logPercent: 100 }, quiet());
  assert.deepEqual(
    findings.filter(({ kind }) => kind === 'hidden').map(({ weight, backups }) => [weight, ...backups]),
    ids.map((id) => ['fault', id]),
  );
  for (let round = 0; round < 2; round++) {
    await passGraceTime();
    const { hidden, deleted, freed, stopped } = await home.cleanup();
    assert.deepEqual([deleted, freed, stopped], [[], { packs: 0, bytes: 0 }, undefined]);
    assert.deepEqual(hidden.map(({ id }) => id).toSorted(), ids.toSorted());
  }
  const left = await versions(bucket);
  assert.deepEqual(
    stored.filter((each) => !left.includes(each)),
    [],
    'not one version is gone',
  );
  for (const id of [second, third]) await undelete(home.loaded, { id, hold: false }, quiet());
  assert.equal(await readEveryBackup(repository), 2);
  assert.deepEqual(await reasonsOf(home), [`hidden:${first} -> lifeboat undelete ${first}`]);
  // Adopted, it is ours: its grace time begins anew, and ends.
  await assert.rejects(home.cleanup({ adoptTrash: [second] }), /there is no backup .* in trash that is to be adopted/);
  assert.deepEqual((await home.cleanup({ adoptTrash: [first], graceMs: 3_600_000 })).deleted, []);
  assert.deepEqual(await reasonsOf(home), []);
  await passGraceTime();
  assert.deepEqual(
    (await home.cleanup()).deleted.map(({ id }) => id),
    [first],
  );
  assert.equal(await readEveryBackup(repository), 2);
  await repository.storage.close();
});

test('junk in trash beside a manifest that is hidden: the true one is told, and taken back', async () => {
  const home = await homeWith(2);
  const { bucket, repository, ids } = home;
  const [first = ''] = ids;
  await intruder.send(new DeleteObjectCommand({ Bucket: bucket, Key: `manifests/${first}.json` }));
  await intruder.send(
    new PutObjectCommand({ Bucket: bucket, Key: `trash/${first}.json`, Body: '{}', ChecksumAlgorithm: 'CRC32' }),
  );
  const hint = `it is in trash, or somebody hid it: lifeboat undelete ${first}`;
  await assert.rejects(repository.resolve(first), { code: 'not_found', hint });
  assert.deepEqual(await reasonsOf(home), [`hidden:${first} -> lifeboat undelete ${first}`]);
  await undelete(home.loaded, { id: first, hold: false }, quiet());
  assert.equal(await readEveryBackup(repository), 2);
  await repository.storage.close();
});

test('a record of an earlier move, put back or left alone, lets nothing go after undelete', async () => {
  const home = await homeWith(3);
  const { bucket, repository, ids } = home;
  const [first = ''] = ids;
  await home.cleanup({ maxDelete: 1, graceMs: 3_600_000 }, 1);
  const [moved = ''] = await keysOf(bucket, `notes/${first}/`);
  assert.match(moved, /-moved\.json$/);
  await undelete(home.loaded, { id: first, hold: false }, quiet());
  const back = (await keysOf(bucket, `notes/${first}/`)).find((each) => each.endsWith('-back.json')) ?? assert.fail();
  // The newer record is hidden, the older one is written once more.
  await intruder.send(new DeleteObjectCommand({ Bucket: bucket, Key: back }));
  await copy(bucket, moved, 'notes/kept');
  await copy(bucket, 'notes/kept', moved);
  await steal(home, first);
  await passGraceTime();
  const { deleted, hidden } = await home.cleanup();
  assert.deepEqual([deleted, hidden.map(({ id }) => id)], [[], [first]]);
  await undelete(home.loaded, { id: first, hold: false }, quiet());
  assert.equal(await readEveryBackup(repository), 3);
  await repository.storage.close();
});

test('a hold that somebody hides goes on counting', async () => {
  const home = await homeWith(2);
  const { bucket, repository, ids } = home;
  const [first = ''] = ids;
  await hold(home.loaded, { id: first, tags: [] }, quiet());
  for (const each of await keysOf(bucket, `notes/${first}/`)) {
    await intruder.send(new DeleteObjectCommand({ Bucket: bucket, Key: each }));
  }
  const { backups } = await home.cleanup({}, 1);
  assert.deepEqual(
    backups.map(({ keep, reasons }) => [keep, reasons[0]]),
    [
      [true, 'on hold'],
      [true, 'newest files backup of main'],
    ],
  );
  await repository.storage.close();
});

test('what we moved ourselves does not leave trash when it is the last there is', async () => {
  const home = await homeWith(3);
  const { bucket, repository, ids } = home;
  const [first = '', second = '', third = ''] = ids;
  await home.cleanup({ graceMs: 3_600_000 }, 1);
  // With all its versions, and on a host that has not seen it: nothing is missed.
  await repository.storage.removeVersions?.([`manifests/${third}.json`]);
  await repository.seen.forget('main', new Set([third]));
  await passGraceTime();
  const { deleted } = await home.cleanup({}, 1);
  assert.deepEqual(
    deleted.map(({ id }) => id),
    [first],
  );
  await undelete(home.loaded, { id: second, hold: false }, quiet());
  assert.equal(await readEveryBackup(repository), 1);
  assert.deepEqual(await keysOf(bucket, `notes/${first}/`), [], 'its records are gone with it');
  await repository.storage.close();
});
