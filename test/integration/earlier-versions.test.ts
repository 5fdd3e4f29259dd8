/**
 * What an intruder with the right to write and delete did to a bucket that keeps versions, on a real S3 server: the
 * backups are still there.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { openLifeboat, type Lifeboat } from '../../src/index.ts';
import { openRepository } from '../../src/repository/repository.ts';
import { retaining } from '../../src/repository/retained-storage.ts';
import { putWal, readWal } from '../../src/repository/wal/archive.ts';
import { openStorage } from '../../src/storage/open.ts';
import { encryption } from '../helpers/repository/repository.ts';
import { runCli } from '../helpers/cli/run-cli.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';

const work = mkdtempSync(join(tmpdir(), 'earlier-versions-'));
const content = randomBytes(300_000);
let server: TestS3Server;
before(async () => {
  mkdirSync(join(work, 'uploads'));
  writeFileSync(join(work, 'uploads', 'one'), content);
  server = await startS3Server();
});
after(async () => {
  await server?.stop();
  rmSync(work, { recursive: true, force: true });
});

async function open(bucket: string, warnings: string[] = []): Promise<Lifeboat> {
  const repository = {
    url: `s3://${bucket}`,
    endpoint: server.endpoint,
    accessKey: server.accessKey,
    secretKey: server.secretKey,
    objectLock: { days: 3 },
  };
  const lifeboat = await openLifeboat({
    config: { repository, encryption: { key: 'ab'.repeat(32) }, targets: { main: { files: { paths: ['uploads'] } } } },
    env: {},
    cwd: work,
    stateDir: join(work, `state-${bucket}`),
  });
  lifeboat.on('warning', ({ message }) => warnings.push(message));
  return lifeboat;
}

/** A locked bucket with one backup in it. */
async function made(): Promise<{ bucket: string; id: string }> {
  const bucket = await server.makeBucket({ objectLock: true });
  const lifeboat = await open(bucket);
  await lifeboat.init();
  const result = await lifeboat.backup();
  assert.equal(result.outcome, 'done');
  return { bucket, id: result.outcome === 'done' ? result.id : '' };
}

async function objects(bucket: string): Promise<{ key: string; bytes: number }[]> {
  const { Contents = [] } = await server.client.send(new ListObjectsV2Command({ Bucket: bucket }));
  return Contents.map(({ Key = '', Size = 0 }) => ({ key: Key, bytes: Size }));
}

/** Restores the files of a backup and compares them with what was backed up. */
async function restores(bucket: string, id: string, warnings: string[] = []): Promise<void> {
  const folder = join(work, `restored-${randomBytes(4).toString('hex')}`);
  await (await open(bucket, warnings)).restore({ id, files: { toDir: folder } });
  const restored = readFileSync(join(folder, work, 'uploads', 'one'));
  assert.ok(restored.equals(content), 'the file came back as it was');
}

const ofBackup = /^(manifests|packs|backups|keys)\//;

test(
  'every object of a backup is overwritten, with other bytes of the ' +
    'same length: listed and restored all the same, and told',
  async () => {
    const { bucket, id } = await made();
    const hit = (await objects(bucket)).filter(({ key }) => ofBackup.test(key));
    for (const { key, bytes } of hit) {
      await server.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: randomBytes(bytes) }));
    }
    const warnings: string[] = [];
    const { backups, damaged } = await (await open(bucket, warnings)).list();
    assert.deepEqual([backups.map((backup) => backup.id), damaged], [[id], []]);
    assert.ok(
      warnings.some((message) => message.startsWith(`manifests/${id}.json was overwritten`)),
      warnings.join('\n'),
    );
    await restores(bucket, id, warnings);
    const read = hit.map(({ key }) => key).filter((key) => !/\/(packs|keys\.json)$/.test(key));
    assert.deepEqual(
      read.filter((key) => !warnings.some((message) => message.startsWith(`${key} was overwritten`))),
      [],
      'each object that is read is named',
    );
  },
);

test('everything but the manifest is deleted: a plain DELETE only hides', async () => {
  const { bucket, id } = await made();
  for (const { key } of await objects(bucket)) {
    if (!key.startsWith('manifests/')) await server.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
  }
  assert.deepEqual(
    (await objects(bucket)).map(({ key }) => key),
    [`manifests/${id}.json`],
  );
  const warnings: string[] = [];
  await restores(bucket, id, warnings);
  assert.ok(warnings.some((message) => message.startsWith('repository.json was overwritten or deleted')));
});

test('what is locked cannot be deleted by its version either; what never was whole stays damaged', async () => {
  const { bucket, id } = await made();
  const { Versions = [] } = await server.client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
  for (const { Key = '', VersionId } of Versions.filter((each) => ofBackup.test(each.Key ?? ''))) {
    await assert.rejects(
      server.client.send(new DeleteObjectCommand({ Bucket: bucket, Key, VersionId })),
      `${Key} can be deleted`,
    );
  }
  await restores(bucket, id);
  const forged = `manifests/${id.slice(0, -4)}0000.json`;
  await server.client.send(new PutObjectCommand({ Bucket: bucket, Key: forged, Body: randomBytes(900) }));
  const { damaged } = await (await open(bucket)).list();
  assert.deepEqual(
    damaged.map(({ object }) => object),
    [forged],
  );
});

/** Settings of a bucket for the command line; the flags that name them. */
function configured(bucket: string): readonly string[] {
  const file = join(work, `${bucket}.json`);
  const repository = {
    url: `s3://${bucket}`,
    endpoint: server.endpoint,
    accessKey: server.accessKey,
    secretKey: server.secretKey,
  };
  const settings = {
    repository,
    stateDir: join(work, `state-${bucket}`),
    encryption: { key: 'ab'.repeat(32) },
    targets: { main: { files: { paths: [join(work, 'uploads')] } } },
  };
  writeFileSync(file, JSON.stringify(settings), { mode: 0o600 });
  return ['--config', file, '--json'];
}

/** The newest stamp in the bucket: the server's clock, whole seconds. */
async function stampOf(bucket: string): Promise<number> {
  const { Versions = [], DeleteMarkers = [] } = await server.client.send(
    new ListObjectVersionsCommand({ Bucket: bucket }),
  );
  return Math.max(...[...Versions, ...DeleteMarkers].map(({ LastModified }) => LastModified?.getTime() ?? 0));
}

test('write-ahead log is locked, unfinished segments are not; reads go past overwrites and deletions', async () => {
  const { bucket } = await made();
  const location = await server.location({ bucket, objectLock: { days: 3, mode: 'governance' } });
  const storage = retaining(await openStorage(location), location);
  const repository = await openRepository(storage, encryption({ key: 'ab'.repeat(32) }), join(work, `state-${bucket}`));
  const body = randomBytes(5000);
  const options = { sealing: await repository.writeKey(), compression: { method: 'none', level: 0 } } as const;
  const segment = '000000010000000000000001';
  for (const name of [segment, `${segment}.0000000001000028.partial`]) {
    await putWal(repository, '7', name, body, options);
  }
  const modes = await Promise.all(
    (await objects(bucket))
      .filter(({ key }) => key.startsWith('wal/'))
      .map(
        async ({ key }) =>
          (await server.client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))).ObjectLockMode,
      ),
  );
  assert.deepEqual(modes, [undefined, 'GOVERNANCE'], 'the unfinished one sorts first');
  const where = { Bucket: bucket, Key: `wal/7/00000001/00000000/${segment}.wal` };
  await server.client.send(new PutObjectCommand({ ...where, Body: randomBytes(5200) }));
  assert.ok((await readWal(repository, '7', segment)).equals(body));
  await server.client.send(new DeleteObjectCommand(where));
  assert.ok((await readWal(repository, '7', segment)).equals(body));
  await assert.rejects(readWal(repository, '7', '000000010000000000000002'), { code: 'not_found' });
  await storage.close();
});

test('--as-of: a backup of which all was deleted is listed, validated and restored as it was before', async () => {
  const { bucket, id } = await made();
  const flags = configured(bucket);
  const goodMs = await stampOf(bucket);
  // Until the server's stamps have moved on.
  for (let now = goodMs; now <= goodMs + 1000; now = await stampOf(bucket)) {
    await server.client.send(new PutObjectCommand({ Bucket: bucket, Key: 'packs/clock', Body: 'x' }));
  }
  const all = await objects(bucket);
  for (const { key, bytes } of all.filter((each) => each.key.startsWith('packs/'))) {
    await server.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: randomBytes(bytes) }));
  }
  for (const { key } of all.filter((each) => !/^(packs|repository)/.test(each.key))) {
    await server.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
  }
  const at = ['--as-of', new Date(goodMs + 1000).toISOString()];
  const now = await runCli(['list', ...flags]);
  assert.deepEqual((JSON.parse(now.stdout) as { backups: unknown[] }).backups, [], 'hidden now');
  const then = await runCli(['list', ...flags, ...at]);
  assert.deepEqual(
    (JSON.parse(then.stdout) as { backups: { id: string }[] }).backups.map((backup) => backup.id),
    [id],
    then.stderr,
  );
  const shown = await runCli(['show', 'latest', ...flags, ...at]);
  assert.equal(shown.exitCode, 0, shown.stderr);
  const before = await objects(bucket);
  const checked = await runCli(['validate', id, ...flags, ...at]);
  assert.equal(checked.exitCode, 3, checked.stderr);
  assert.match(checked.stderr, /no evidence is recorded/, 'what holds of the past says nothing of the present');
  const folder = join(work, 'then');
  const restored = await runCli(['restore', id, '--to-dir', folder, ...flags, ...at]);
  assert.equal(restored.exitCode, 0, restored.stderr);
  assert.ok(readFileSync(join(folder, work, 'uploads', 'one')).equals(content));
  const exported = await runCli(['export', id, join(work, 'exported'), ...flags, ...at]);
  assert.equal(exported.exitCode, 0, exported.stderr);
  const added = (await objects(bucket))
    .filter(({ key }) => !before.some((each) => each.key === key))
    .map(({ key }) => key.replace(/\/.*/, ''));
  assert.deepEqual(
    added.filter((each) => each !== 'audit'),
    [],
    'nothing but the audit log was written',
  );
});

test('--as-of without versions, or with no time, is refused', async () => {
  const bucket = await server.makeBucket();
  const flags = configured(bucket);
  assert.equal((await runCli(['init', ...flags])).exitCode, 0);
  const refused = await runCli(['list', ...flags, '--as-of', '2026-01-02']);
  assert.deepEqual([refused.exitCode, /keeps no earlier versions/.test(refused.stdout + refused.stderr)], [2, true]);
  assert.equal((await runCli(['list', ...flags, '--as-of', 'yesterday'])).exitCode, 2);
});
