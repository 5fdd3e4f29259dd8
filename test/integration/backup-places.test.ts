/**
 * Components that share one place: one that fails, or an interrupt, ends those that wait for it too. The run says what
 * happened, is recorded, and leaves nothing.
 */
import assert from 'node:assert/strict';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditResult } from '../../src/operations/audit/audit.ts';
import { assertFailed, makeBench, namesBelow, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { fillMany, startRedis, type TestRedis } from '../helpers/servers/redis.ts';

/** What waits for ever must not keep the tests waiting for longer. */
const timeout = 120_000;
const rows = 20_000;

let bench: Bench;
let postgres: TestPostgres;
let redis: TestRedis;

before(async () => {
  bench = makeBench();
  [postgres, redis] = await Promise.all([startPostgres(), startRedis({ config: { 'rdb-key-save-delay': '20000' } })]);
  await postgres.query('postgres', 'CREATE DATABASE shop');
  for (const table of ['item', 'part']) {
    await postgres.psql(
      'shop',
      `CREATE TABLE ${table} (id int PRIMARY KEY, name text); INSERT INTO ${table} ` +
        `SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, ${rows}) n`,
    );
  }
  // Redis writes 16 KiB at a time: six hundred of these.
  fillMany(redis, 4000);
  const files = join(bench.folder, 'files');
  mkdirSync(files);
  // So long that Redis asks for its place before the catalog does, which then waits while Redis has it.
  writeFileSync(join(files, 'large'), Buffer.alloc(150_000_000, 'content '));
  bench.env = { ...bench.env, DATABASE_URL: postgres.url('shop'), REDIS_URL: redis.url() };
  const main = {
    postgres: { url: { env: 'DATABASE_URL' }, databases: ['shop'], bigTableMiB: 1 },
    redis: { url: { env: 'REDIS_URL' } },
    files: { paths: [files] },
  };
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ targets: { main } }));
  await bench.json('init');
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([postgres?.stop(), redis?.stop()]);
});

/** The run is recorded as one that failed, and leaves no child, no lease and no session. */
async function assertRecorded(exitCode: number): Promise<void> {
  const { records } = await bench.json<AuditResult>('audit --limit 1');
  assert.deepEqual(
    records.map(({ command, outcome, exitCode: code }) => [command, outcome, code]),
    [['backup', 'failed', exitCode]],
  );
  assert.deepEqual(bench.recorded(), []);
  await bench.nothingLeft();
}

/** A snapshot of Redis holds the only place for long; both others have several streams, and wait for it. */
async function slowSnapshot(): Promise<void> {
  while (!redis.cli(['INFO', 'replication']).includes('connected_slaves:1')) await sleep(20);
  const snapshots = `SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = 'shop'`;
  while ((await postgres.query('postgres', snapshots)).length === 0) await sleep(20);
  // One that has not begun would be asked for again.
  const hasBytes = (name: string): boolean =>
    name.endsWith('/dump.rdb') && (statSync(join(bench.tmp, name), { throwIfNoEntry: false })?.size ?? 0) > 0;
  while (!namesBelow(bench.tmp).some(hasBytes)) await sleep(20);
}

test('one place: Redis cuts the snapshot while the database and files wait for it', { timeout }, async () => {
  const command = await bench.start('backup --jobs 1');
  await slowSnapshot();
  redis.cli(['CLIENT', 'KILL', 'TYPE', 'replica']);
  assertFailed(await command.result, 13, /the snapshot of Redis/);
  await assertRecorded(13);
});

test('one place: SIGINT while the database and files wait for it', { timeout }, async () => {
  const command = await bench.start('backup --jobs 1');
  await slowSnapshot();
  command.kill('SIGINT');
  assertFailed(await command.result, 130, /stopped by SIGINT/);
  await assertRecorded(130);
});

test('what waited gets its place where nothing fails', { timeout }, async () => {
  redis.cli(['CONFIG', 'SET', 'rdb-key-save-delay', '0']);
  const { components } = await bench.backup('backup --jobs 1');
  assert.deepEqual(components.map(({ name }) => name).toSorted(), ['database', 'files', 'redis']);
  await bench.nothingLeft();
});
