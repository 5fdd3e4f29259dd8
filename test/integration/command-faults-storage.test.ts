/**
 * Storage that is full, read-only, away for a while or for good, or that refuses us: the right exit code, no manifest,
 * nothing left.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import type { RestoreResult } from '../../src/operations/restore/request.ts';
import { assertFailed, makeBench, namesBelow, type Bench, type CommandResult } from '../helpers/cli/command-run.ts';
import { compareTrees, readTree } from '../helpers/source/file-tree.ts';
import { fillSample, startRedis } from '../helpers/servers/redis.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';

/** Node sets times in doubles. */
const toMicroseconds = { mtimeToleranceNs: 1000n };

let server: TestS3Server;
/**
 * Killed in the middle of a backup, for good, while the other tests run: nobody waits twice for the time that is ridden
 * out.
 */
let doomed: TestS3Server;
let bench: Bench;
let doomedBench: Bench;
let files: string;
let afterDeath: Promise<CommandResult>;

before(async () => {
  bench = makeBench();
  files = join(bench.folder, 'files');
  mkdirSync(files);
  for (let n = 0; n < 4; n++) writeFileSync(join(files, `noise-${n}`), randomBytes(20_000_000));
  bench.env = { ...bench.env, BACKUP_FILES: files };
  [server, doomed] = await Promise.all([startS3Server(), startS3Server()]);
  doomedBench = makeBench({ BACKUP_FILES: files });
  const { env, packs } = await bucketOn(doomed, doomedBench);
  const command = await doomedBench.start('backup', { env });
  while ((await packs()) < 1) await sleep(5);
  await doomed.killGateway();
  afterDeath = command.result;
});
after(async () => {
  await Promise.all([bench?.[Symbol.asyncDispose](), doomedBench?.[Symbol.asyncDispose]()]);
  await Promise.all([server?.stop(), doomed?.stop()]);
});

/** A new repository in a new bucket: the environment of its commands, and a look at it. */
async function bucketOn(
  s3: TestS3Server,
  used = bench,
): Promise<{
  env: Record<string, string | undefined>;
  keys: (prefix: string) => Promise<string[]>;
  packs: () => Promise<number>;
}> {
  const bucket = await s3.makeBucket();
  const env = {
    BACKUP_REPOSITORY: `s3://${bucket}/some/where`,
    BACKUP_S3_ENDPOINT: s3.endpoint,
    BACKUP_S3_REGION: 'us-east-1',
    BACKUP_S3_PATH_STYLE: 'true',
    BACKUP_S3_ACCESS_KEY: s3.accessKey,
    BACKUP_S3_SECRET_KEY: s3.secretKey,
    BACKUP_STATE_DIR: join(used.folder, `state-${bucket}`),
  };
  await used.json('init', { env });
  const keys = async (prefix: string): Promise<string[]> =>
    (
      (await s3.client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `some/where/${prefix}` }))).Contents ??
      []
    ).map(({ Key = '' }) => Key);
  return { env, keys, packs: async () => (await keys('packs/')).length };
}

/** A small file system of its own for the local repository, or for something else. */
function mountAt(path: string, size: string): Disposable & { remount(options: string): void } {
  mkdirSync(path, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path]);
  return {
    remount: (options) => void execFileSync('mount', ['-o', `remount,${options}`, path]),
    [Symbol.dispose]: () => void execFileSync('umount', ['-l', path]),
  };
}

test('the S3 server stands still for 20 s during a backup: ridden out, and the restore is equal', async () => {
  const { env, packs, keys } = await bucketOn(server);
  const command = await bench.start('backup', { env });
  while ((await packs()) < 1) await sleep(5);
  process.kill(server.pids.gateway, 'SIGSTOP');
  await sleep(20_000);
  process.kill(server.pids.gateway, 'SIGCONT');
  const result = await command.result;
  assert.equal(result.exitCode, 0, result.stderr);
  assert.ok(result.durationMs > 20_000);
  assert.deepEqual(
    (await keys('locks/')).filter((key) => key.endsWith('.json')),
    [],
  );
  const to = join(bench.folder, 'from-s3');
  await bench.restore(['restore', 'latest', '--to-dir', to], { env });
  assert.deepEqual(compareTrees(readTree(files), readTree(join(to, files)), toMicroseconds), []);
});

test('refused credentials: 20 at once', async () => {
  const { env, keys } = await bucketOn(server);
  for (const wrong of [{ BACKUP_S3_SECRET_KEY: 'x'.repeat(20) }, { BACKUP_S3_ACCESS_KEY: 'NOBODY' }]) {
    const result = await bench.run('backup', { env: { ...env, ...wrong } });
    assertFailed(result, 20, /refused|denied|credentials|signature|access key/i, /./);
    assert.ok(result.durationMs < 15_000, `${result.durationMs} ms`);
    assert.doesNotMatch(result.stderr, /x{20}/, 'the secret');
  }
  assert.deepEqual(await keys('manifests/'), []);
  const { accessKey, secretKey } = await server.makeUser();
  assertFailed(
    await bench.run('backup', { env: { ...env, BACKUP_S3_ACCESS_KEY: accessKey, BACKUP_S3_SECRET_KEY: secretKey } }),
    20,
    /denied|refused/i,
    /./,
  );
  assert.deepEqual(await keys('locks/'), []);
  assert.equal((await bench.backup('backup', { env })).outcome, 'done');
});

test('a bucket that is not there: 20, and says which', async () => {
  const { env } = await bucketOn(server);
  for (const line of ['backup', 'list', 'restore latest', 'init']) {
    assertFailed(
      await bench.run(line, { env: { ...env, BACKUP_REPOSITORY: 's3://no-such-bucket/x' } }),
      20,
      /no-such-bucket/,
      /./,
    );
  }
});

test('the disk of the repository is full: 15, and the next backup works once there is room', async () => {
  using disk = mountAt(bench.repository, '30m');
  await bench.json('init');
  assertFailed(await bench.run('backup'), 15, /space|full/, /./);
  assert.deepEqual(bench.recorded(), []);
  await bench.nothingLeft();
  disk.remount('size=200m');
  const { id } = await bench.backup();
  assert.deepEqual(await bench.ids(), [id]);

  await test('read-only: 20 for a backup, while list and restore work', async () => {
    disk.remount('ro');
    const result = await bench.run('backup');
    assertFailed(result, 20, /read-only/, /./);
    assert.ok(result.durationMs < 15_000, `${result.durationMs} ms`);
    assert.deepEqual(await bench.ids(), [id]);
    const to = join(bench.folder, 'from-read-only');
    // Without a lease nothing pins what is read: a warning.
    const restored = await bench.json<RestoreResult>(['restore', 'latest', '--to-dir', to], { exitCode: 3 });
    assert.match(restored.warnings.join(), /without a lease/);
    assert.deepEqual(compareTrees(readTree(files), readTree(join(to, files)), toMicroseconds), []);
    disk.remount('rw');
    await bench.nothingLeft();
  });
});

/** In a place where this host has seen another repository, which init would tell of. */
async function initAnew(): Promise<void> {
  rmSync(join(bench.stateDir, 'places'), { recursive: true, force: true });
  await bench.json('init');
}

test('the disk of a restore is full: 15, and nothing is there that looks restored', async () => {
  using _ = mountAt(bench.repository, '200m');
  await initAnew();
  await bench.backup();
  using disk = mountAt(join(bench.folder, 'small'), '30m');
  const to = join(bench.folder, 'small', 'files');
  assertFailed(
    await bench.run(['restore', 'latest', '--to-dir', to]),
    15,
    /76\.\d MiB are needed and 30\.0 MiB are free/,
    /./,
  );
  assertFailed(await bench.run(['export', 'latest', join(bench.folder, 'small', 'out')]), 15, /space|full/, /./);
  assert.deepEqual(namesBelow(join(bench.folder, 'small')), []);
  disk.remount('size=300m');
  await bench.restore(['restore', 'latest', '--to-dir', to]);
  assert.deepEqual(compareTrees(readTree(files), readTree(join(to, files)), toMicroseconds), []);
});

test('no room in TMPDIR for the Redis snapshot: 15, known before or found on the way', async () => {
  await using redis = await withRedisSample();
  await using own = makeBench({ REDIS_URL: redis.url });
  await own.json('init');
  using disk = mountAt(own.tmp, '1m');
  assertFailed(await own.run('backup'), 15, /space|needed/, /./);
  disk.remount('size=4m');
  assertFailed(await own.run('backup'), 15, /space|needed/, /./);
  await own.nothingLeft();
  assert.deepEqual(own.recorded(), []);
  disk.remount('size=40m');
  await own.backup();
});

test('the repository is removed, or damaged, under a running backup: it is not recorded as good', async () => {
  using _ = mountAt(bench.repository, '200m');
  await initAnew();
  const command = await bench.start('backup');
  while (namesBelow(join(bench.repository, 'packs')).length < 2) await sleep(5);
  rmSync(join(bench.repository, 'packs'), { recursive: true, force: true });
  const result = await command.result;
  assertFailed(result, [14, 20].includes(result.exitCode) ? result.exitCode : 14, /pack|missing/);
  assert.deepEqual(bench.recorded(), []);
  assert.equal((await bench.run('backup')).exitCode, 0);
});

test('a pack that a new backup would use again is lost: a warning, and what it held is stored anew', async () => {
  using _ = mountAt(bench.repository, '300m');
  await initAnew();
  const first = await bench.backup();
  const [pack = '', other = ''] = namesBelow(join(bench.repository, 'packs')).map((name) =>
    join(bench.repository, 'packs', name),
  );
  truncateSync(pack, 1000);
  rmSync(other);
  const second = await bench.json<BackupResult>('backup', { exitCode: 3 });
  assert.ok(second.outcome === 'done');
  assert.match(second.warnings.join(), /packs\/.*(has 1000 bytes|is missing).*and 1 more.*stored anew/);
  const to = join(bench.folder, 'after-loss');
  assertFailed(await bench.run(['restore', first.id, '--to-dir', to]), 14, /pack/);
  await bench.restore(['restore', second.id, '--to-dir', to]);
  assert.deepEqual(compareTrees(readTree(files), readTree(join(to, files)), toMicroseconds), []);
  assert.equal((await bench.run('backup')).exitCode, 0);
});

test('SIGINT during a backup to S3: 130, and the lease is given back', async () => {
  const { env, packs, keys } = await bucketOn(server);
  const command = await bench.start('backup', { env });
  while ((await packs()) < 1) await sleep(5);
  command.kill('SIGINT');
  assertFailed(await command.result, 130, /stopped by SIGINT/);
  assert.deepEqual(await keys('locks/'), []);
  assert.deepEqual(await keys('manifests/'), []);
  await bench.backup('backup', { env });
});

test('the S3 server died for good: 20 after the time that is ridden out', async () => {
  const result = await afterDeath;
  assertFailed(result, 20, new RegExp(doomed.endpoint.replace('http://', '')), /./);
  assert.ok(result.durationMs > 60_000 && result.durationMs < 110_000, `${result.durationMs} ms`);
  assert.match(result.stderr, /trying again in/);
  assert.ok((result.stderr.match(/trying again in|^.*still, after/gm) ?? []).length < 8, result.stderr);
  await doomedBench.nothingLeft();
});

async function withRedisSample(): Promise<AsyncDisposable & { url: string }> {
  const redis = await startRedis();
  await fillSample(redis);
  return { url: redis.url(), [Symbol.asyncDispose]: () => redis.stop() };
}
