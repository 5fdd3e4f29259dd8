/**
 * Object lock on a real S3 server: what is retained and until when, and what a later backup does about the locks of
 * what it uses again.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3';
import { loadConfig } from '../../src/config/load.ts';
import { openLifeboat, type Lifeboat } from '../../src/index.ts';
import { Secret } from '../../src/lib/secret.ts';
import { cleanup } from '../../src/operations/cleanup/cleanup.ts';
import { doctor } from '../../src/operations/doctor/doctor.ts';
import { undelete } from '../../src/operations/cleanup/undelete.ts';
import { decodePackTable } from '../../src/repository/packs/usage.ts';
import { packKey } from '../../src/repository/packs/index-part.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';

const work = mkdtempSync(join(tmpdir(), 'object-lock-'));
const dayMs = 86_400_000;
let server: TestS3Server;
before(async () => {
  mkdirSync(join(work, 'uploads'));
  writeFileSync(join(work, 'uploads', 'one'), Buffer.alloc(300_000, 'one'));
  server = await startS3Server();
});
after(async () => {
  await server?.stop();
  rmSync(work, { recursive: true, force: true });
});

interface Access {
  readonly accessKey: string;
  readonly secretKey: string;
}

async function open(
  bucket: string,
  objectLock: { days: number; mode?: string } | undefined,
  { accessKey, secretKey }: Access = server,
): Promise<Lifeboat> {
  const repository = {
    url: `s3://${bucket}`,
    endpoint: server.endpoint,
    accessKey,
    secretKey,
    ...(objectLock === undefined ? {} : { objectLock }),
  };
  return openLifeboat({
    config: { repository, encryption: { key: 'ab'.repeat(32) }, targets: { main: { files: { paths: ['uploads'] } } } },
    env: {},
    cwd: work,
    stateDir: join(work, `state-${bucket}`),
  });
}

async function backUp(lifeboat: Lifeboat): Promise<string> {
  const result = await lifeboat.backup();
  assert.equal(result.outcome, 'done');
  return result.outcome === 'done' ? result.id : '';
}

/** Every object's lock: "MODE, so many days", or none. */
async function locks(bucket: string): Promise<Map<string, string>> {
  const { Contents = [] } = await server.client.send(new ListObjectsV2Command({ Bucket: bucket }));
  const heads = Contents.map(async ({ Key = '' }) => {
    const { ObjectLockMode, ObjectLockRetainUntilDate } = await server.client.send(
      new HeadObjectCommand({ Bucket: bucket, Key }),
    );
    const days = ((ObjectLockRetainUntilDate?.getTime() ?? 0) - Date.now()) / dayMs;
    return [Key, ObjectLockMode === undefined ? 'none' : `${ObjectLockMode}, ${Math.round(days)} days`] as const;
  });
  return new Map(await Promise.all(heads));
}

function foldersOf(objects: readonly (readonly [key: string, lock: string])[]): string[] {
  return [...new Set(objects.map(([key]) => key.replace(/\/.*/, '')))].toSorted();
}

async function packsOf(bucket: string, id: string): Promise<{ key: string; lockedUntil: number }[]> {
  const { storage, close } = await raw(bucket);
  try {
    return [...decodePackTable(await storage.get(`backups/${id}/packs`))].map(({ packId, lockedUntil }) => ({
      key: packKey(packId),
      lockedUntil,
    }));
  } finally {
    await close();
  }
}

async function raw(bucket: string, { accessKey, secretKey }: Access = server) {
  const { openStorage } = await import('../../src/storage/open.ts');
  const storage = await openStorage({
    ...(await server.location({ bucket })),
    accessKey: new Secret(accessKey),
    secretKey: new Secret(secretKey),
  });
  return { storage, close: async () => storage.close() };
}

async function untilOf(bucket: string, key: string): Promise<number | undefined> {
  return (
    await server.client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))
  ).ObjectLockRetainUntilDate?.getTime();
}

test('what belongs to a backup is retained, and the keys; leases, records and the rest are not', async () => {
  const bucket = await server.makeBucket({ objectLock: true });
  const lifeboat = await open(bucket, { days: 3, mode: 'governance' });
  await lifeboat.init();
  const id = await backUp(lifeboat);
  await lifeboat.validate({ ids: [id] });
  const found = [...(await locks(bucket))];
  const withLock = found.filter(([, lock]) => lock !== 'none');
  assert.deepEqual([...new Set(withLock.map(([, lock]) => lock))], ['GOVERNANCE, 3 days']);
  assert.deepEqual(foldersOf(withLock), ['backups', 'keys', 'manifests', 'packs']);
  assert.deepEqual(foldersOf(found.filter(([, lock]) => lock === 'none')), [
    'audit',
    'evidence',
    'repository.json',
    'rescue',
  ]);
  const [manifest] = found.map(([key]) => key).filter((key) => key.startsWith('manifests/'));
  const untilMs = await untilOf(bucket, `${manifest}`);
  for (const { key, lockedUntil } of await packsOf(bucket, id)) {
    assert.equal(lockedUntil * 1000, untilMs, 'one moment for all of a backup');
    assert.equal(await untilOf(bucket, key), untilMs);
  }
});

test('the lock of a pack that is used again is extended before the manifest, and its table says so', async () => {
  const bucket = await server.makeBucket({ objectLock: true });
  await (await open(bucket, undefined)).init();
  const first = await backUp(await open(bucket, { days: 2 }));
  const second = await backUp(await open(bucket, { days: 9 }));
  const [before, now] = [await packsOf(bucket, first), await packsOf(bucket, second)];
  assert.deepEqual(
    now.map(({ key }) => key).filter((key) => !before.some((each) => each.key === key)),
    [],
    'nothing was stored anew',
  );
  const untilMs = await untilOf(bucket, `manifests/${second}.json`);
  for (const { key, lockedUntil } of now) {
    assert.equal(lockedUntil * 1000, untilMs);
    assert.equal(await untilOf(bucket, key), untilMs);
  }
});

test('where extending is refused the chunks are stored anew, in packs that are retained long enough', async () => {
  const bucket = await server.makeBucket({ objectLock: true });
  const long = await open(bucket, { days: 2 });
  await long.init();
  const first = await backUp(long);
  const user = await server.makeUser();
  const resources = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`];
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Principal: '*', Action: 's3:*', Resource: resources },
      { Effect: 'Deny', Principal: '*', Action: 's3:PutObjectRetention', Resource: `arn:aws:s3:::${bucket}/packs/*` },
    ],
  });
  await server.client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
  const [{ key: old } = { key: '' }] = await packsOf(bucket, first);
  const oldUntil = await untilOf(bucket, old);
  await assert.rejects(
    server.client.send(
      new PutObjectRetentionCommand({
        Bucket: bucket,
        Key: old,
        Retention: { Mode: 'COMPLIANCE', RetainUntilDate: new Date(Date.now() + 9 * dayMs) },
      }),
    ),
  );
  const second = await backUp(await open(bucket, { days: 3 }, user));
  const packs = await packsOf(bucket, second);
  assert.ok(packs.length > 0 && packs.every(({ key }) => key !== old), 'the old pack is not used');
  assert.equal(await untilOf(bucket, old), oldUntil);
});

test('object lock configured for a bucket without it: backup refuses before it writes anything', async () => {
  const bucket = await server.makeBucket({ versions: true });
  await (await open(bucket, undefined)).init();
  const count = async (): Promise<number> =>
    [...(await locks(bucket)).keys()].filter((key) => !key.startsWith('audit/')).length;
  const before = await count();
  await assert.rejects((await open(bucket, { days: 2 })).backup(), {
    code: 'usage',
    message: /object lock is configured, but s3:\/\/.* is in a bucket without it/,
  });
  assert.equal(await count(), before);
  await assert.rejects(
    openLifeboat({
      config: { repository: { url: `file://${work}/local`, objectLock: { days: 1 } } },
      env: {},
      cwd: work,
      stateDir: work,
    }).then((lifeboat) => lifeboat.list()),
    { code: 'usage', message: /repository\.objectLock/ },
  );
});

async function bytesOf(bucket: string, key: string): Promise<Buffer> {
  const { Body } = await server.client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

/** Of every version of an object, oldest first: until when it is locked, 0: not; markers left out. */
async function locksOfVersions(bucket: string, key: string): Promise<number[]> {
  const { Versions = [] } = await server.client.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: key }));
  const heads = Versions.toReversed().map(async ({ Key, VersionId }) =>
    server.client.send(new HeadObjectCommand({ Bucket: bucket, Key, VersionId })),
  );
  return (await Promise.all(heads)).map(({ ObjectLockRetainUntilDate }) => ObjectLockRetainUntilDate?.getTime() ?? 0);
}

test('a pack with another one put over it: the lock of the true version is extended', async () => {
  const bucket = await server.makeBucket({ objectLock: true });
  await (await open(bucket, undefined)).init();
  const first = await backUp(await open(bucket, { days: 2 }));
  const [{ key } = { key: '' }] = await packsOf(bucket, first);
  const bytes = await bytesOf(bucket, key);
  await server.client.send(
    new PutObjectCommand({
      Bucket: bucket,
      Key: key,
      Body: Buffer.alloc(bytes.length, 'junk'),
      ChecksumAlgorithm: 'CRC32',
    }),
  );
  const second = await backUp(await open(bucket, { days: 9 }));
  assert.ok(
    (await packsOf(bucket, second)).some((pack) => pack.key === key),
    'it is used again',
  );
  const untilMs = (await untilOf(bucket, `manifests/${second}.json`)) ?? -1;
  const [oldest, newest] = await locksOfVersions(bucket, key);
  assert.deepEqual([oldest, newest], [untilMs, 0]);
  const lifeboat = await open(bucket, { days: 9 });
  await lifeboat.export({ id: second, folder: join(work, 'out') });
});

test('a pack that somebody hid, or put one of another size over, is not used again', async () => {
  const bucket = await server.makeBucket({ objectLock: true });
  await (await open(bucket, undefined)).init();
  const first = await backUp(await open(bucket, { days: 2 }));
  const [{ key } = { key: '' }] = await packsOf(bucket, first);
  await server.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
  const second = await backUp(await open(bucket, { days: 9 }));
  const [{ key: anew } = { key: '' }] = await packsOf(bucket, second);
  assert.notEqual(anew, key);
  await server.client.send(
    new PutObjectCommand({ Bucket: bucket, Key: anew, Body: 'junk', ChecksumAlgorithm: 'CRC32' }),
  );
  const third = await backUp(await open(bucket, { days: 12 }));
  assert.ok((await packsOf(bucket, third)).every((pack) => pack.key !== key && pack.key !== anew));
  assert.equal((await locksOfVersions(bucket, anew)).at(-1), 0);
});

test('the key file is retained as long as the newest backup under it, in all its versions', async () => {
  const bucket = await server.makeBucket({ objectLock: true });
  const short = await open(bucket, { days: 2 });
  await short.init();
  const [key = ''] = [...(await locks(bucket)).keys()].filter((each) => each.startsWith('keys/'));
  const [before = 0] = await locksOfVersions(bucket, key);
  await server.client.send(
    new PutObjectCommand({ Bucket: bucket, Key: key, Body: await bytesOf(bucket, key), ChecksumAlgorithm: 'CRC32' }),
  );
  const id = await backUp(await open(bucket, { days: 9 }));
  const untilMs = await untilOf(bucket, `manifests/${id}.json`);
  assert.ok(before < (untilMs ?? 0));
  assert.deepEqual(await locksOfVersions(bucket, key), [untilMs, untilMs]);
  assert.equal(await untilOf(bucket, `backups/${id}/keys.json`), untilMs);
  // A shorter one later takes nothing back.
  await backUp(short);
  assert.deepEqual(await locksOfVersions(bucket, key), [untilMs, untilMs]);
});

test(
  'the policy of examples/s3 for object lock: a host with these rights retains what it writes and extends what it ' +
    'uses again, and can take no lock away',
  async () => {
    const bucket = await server.makeBucket({ objectLock: true });
    await (await open(bucket, { days: 2 })).init();
    const user = await server.makeUser();
    const text = readFileSync(new URL('../../examples/s3/write-only-object-lock-policy.json', import.meta.url), 'utf8');
    const policy = JSON.parse(
      text
        .replaceAll('my-backups/shop', bucket)
        .replaceAll('my-backups', bucket)
        .replaceAll('"shop/', '"')
        .replaceAll('web-1', hostname()),
    ) as { Statement: object[] };
    const Statement = policy.Statement.map((each) => ({ ...each, Principal: { AWS: ['*'] } }));
    await server.client.send(
      new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify({ ...policy, Statement }) }),
    );
    const first = await backUp(await open(bucket, { days: 2 }, user));
    const second = await backUp(await open(bucket, { days: 9 }, user));
    const [before, now] = [await packsOf(bucket, first), await packsOf(bucket, second)];
    assert.deepEqual(
      now.map(({ key }) => key),
      before.map(({ key }) => key),
      'its packs are used again',
    );
    const untilMs = await untilOf(bucket, `manifests/${second}.json`);
    for (const { key } of now) {
      assert.equal(await untilOf(bucket, key), untilMs);
      const { storage, close } = await raw(bucket, user);
      await assert.rejects(storage.remove([key]), { code: 'storage' });
      assert.equal(await storage.extendRetention?.(key, Date.now() + dayMs, 1), false, 'not of that size');
      await close();
    }
  },
);

test('a backup that somebody hid: cleanup warns and keeps it, undelete shows it again', async () => {
  const bucket = await server.makeBucket({ objectLock: true });
  const lifeboat = await open(bucket, { days: 2 });
  await lifeboat.init();
  const id = await backUp(lifeboat);
  await server.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: `manifests/${id}.json` }));
  assert.deepEqual((await lifeboat.list()).backups, []);
  const repository = {
    url: `s3://${bucket}`,
    endpoint: server.endpoint,
    accessKey: server.accessKey,
    secretKey: server.secretKey,
  };
  const document = {
    repository,
    encryption: { key: 'ab'.repeat(32) },
    stateDir: join(work, `state-${bucket}`),
    targets: { main: { files: { paths: ['uploads'] } } },
  };
  const loaded = await loadConfig({
    cwd: work,
    env: {},
    document,
    need: { repository: true, encryption: true, targets: 'all' },
  });
  const context = { signal: new AbortController().signal, emit: () => {} };
  const { hidden, warnings } = await cleanup(loaded, { dryRun: true, acknowledge: [], adoptTrash: [] }, context);
  assert.deepEqual(
    hidden.map((each) => each.id),
    [id],
  );
  assert.ok(
    warnings.some((each) => each.includes(`lifeboat undelete ${id}`)),
    warnings.join(),
  );
  const check = async (): Promise<string[]> =>
    (await doctor(loaded, {}, context)).checks
      .filter(({ name }) => name === 'repository hidden backups')
      .map(({ ok, message }) => `${ok}: ${message}`);
  assert.match((await check()).join(), new RegExp(`^warn: backup ${id} was hidden by a delete marker at `));
  await undelete(loaded, { id, hold: false }, context);
  assert.deepEqual(await check(), ['ok: none']);
  assert.deepEqual(
    (await lifeboat.list()).backups.map((each) => each.id),
    [id],
  );
  assert.deepEqual((await cleanup(loaded, { dryRun: true, acknowledge: [], adoptTrash: [] }, context)).hidden, []);
});
