/**
 * `lifeboat backup` beside a session that changes a table, when the dump holds its locks already: with --yield-to-ddl
 * the other gets through, and the backup is made anew; without, the other waits for its end, as beside plain pg_dump.
 * The schema's pg_dump stops after its first byte until a file is there.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Bench, makeBench, toolsOf } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';

/** More than a pipe holds: a dump of data ends only when it is read, so when all locks are held. */
const rows = 10_000;

let bench: Bench;
let server: TestPostgres;

before(async () => {
  bench = makeBench();
  server = await startPostgres();
  await server.query('postgres', 'CREATE DATABASE shop');
  await server.psql(
    'shop',
    `CREATE TABLE item AS SELECT n AS id, repeat(md5(n::text), 4) AS name FROM generate_series(1, ${rows}) n`,
  );
  bench.env = { ...bench.env, DATABASE_URL: server.url('shop') };
  const postgresBin = join(bench.folder, 'bin');
  placeTools(postgresBin);
  const postgres = { url: { env: 'DATABASE_URL' }, databases: ['shop'] };
  const config = { targets: { main: { postgres } }, tools: { postgresBin } };
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify(config));
  await bench.json('init');
});

beforeEach(() => {
  for (const name of ['go', 'calls']) rmSync(join(bench.folder, name), { force: true });
});

after(async () => {
  writeFileSync(join(bench.folder, 'go'), '');
  await bench?.[Symbol.asyncDispose]();
  await server?.stop();
});

test('with --yield-to-ddl a change gets through at once, and the backup that comes of it has it', async () => {
  const backup = await bench.start('backup --yield-to-ddl --json');
  await untilDataIsRead();
  await server.query('shop', 'ALTER TABLE item ADD COLUMN size int DEFAULT 7');
  assert.deepEqual(await server.query('shop', ours), [], 'what held the locks is gone');
  letGo();
  const { exitCode, stderr } = await backup.result;
  assert.equal(exitCode, 0, stderr);
  assert.match(stderr, /process \d+, ALTER TABLE\) waited .*; the backup begins anew/);
  assert.equal(schemaDumps(), 2);
  assert.equal(bench.recorded().length, 1);
  await bench.nothingLeft();
  await bench.restore('restore latest --to-database shop_back');
  const sum = 'SELECT count(*) AS rows, sum(size) AS size FROM item';
  assert.deepEqual(await server.query('shop_back', sum), await server.query('shop', sum));
});

test('without it the change waits for the end of the one backup, and so do those behind it', async () => {
  const backup = await bench.start('backup');
  await untilDataIsRead();
  const events: string[] = [];
  const change = server.query('shop', 'TRUNCATE item').then(() => events.push('through'));
  await until(async () => (await server.query('shop', waiters)).length === 1);
  const read = server.query('shop', 'SELECT count(*) FROM item').then(() => events.push('through'));
  await until(async () => (await server.query('shop', waiters)).length === 2);
  assert.deepEqual(events, []);
  letGo();
  const { exitCode, stderr } = await backup.result;
  assert.equal(exitCode, 0, stderr);
  await Promise.all([change, read]);
  assert.equal(schemaDumps(), 1);
  assert.equal(bench.recorded().length, 2);
  await bench.json('integrity --drill latest');
});

const ours = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'lifeboat backup%' AND datname = 'shop'";
/** None of them is ours. */
const waiters =
  "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = '' AND datname = 'shop'";

function placeTools(folder: string): void {
  mkdirSync(folder);
  const names = ['pg_dumpall', 'pg_restore', 'psql', 'postgres', 'initdb', 'pg_ctl', 'pg_controldata', 'pg_amcheck'];
  for (const name of names) symlinkSync(join(server.binDir, name), join(folder, name));
  const program = join(server.binDir, 'pg_dump');
  const script = `#!/bin/bash
[ "$1" = --version ] && exec '${program}' "$@"
echo "$*" >> '${bench.folder}/calls'
case "$*" in *--section=data*) exec '${program}' "$@" ;; esac
exec '${program}' "$@" > >(head -c 1; while [ ! -e '${bench.folder}/go' ]; do sleep 0.05; done; cat)
`;
  writeFileSync(join(folder, 'pg_dump'), script);
  chmodSync(join(folder, 'pg_dump'), 0o755);
}

function letGo(): void {
  writeFileSync(join(bench.folder, 'go'), '');
}

function schemaDumps(): number {
  return readFileSync(join(bench.folder, 'calls'), 'utf8').match(/--section=pre-data/g)?.length ?? 0;
}

/** Only the schema's pg_dump is left, of those that were started. */
async function untilDataIsRead(): Promise<void> {
  const calls = join(bench.folder, 'calls');
  await until(async () => existsSync(calls) && readFileSync(calls, 'utf8').match(/--section=/g)?.length === 3);
  await until(async () => toolsOf(bench, 'pg_dump').length === 1);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) {
    assert.ok(tries < 1200, 'it does not come about');
    await sleep(50);
  }
}
