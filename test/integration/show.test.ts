/** What `lifeboat show` prints of a real backup: tables for people, safely; and the whole of the facts for programs. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { postgresFacts } from '../../src/source/postgres/facts/facts.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { startRedis, type TestRedis } from '../helpers/servers/redis.ts';

let postgres: TestPostgres;
let redis: TestRedis;
let bench: Bench;

before(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  await postgres.query('postgres', 'CREATE DATABASE shop');
  await postgres.query(
    'shop',
    'CREATE TABLE "order" AS SELECT n, repeat(n::text, 100) AS note FROM generate_series(1, 1500) n',
  );
  await postgres.query('shop', 'CREATE TABLE "evil\u001b[2J\nrow \u202etxt" AS SELECT 1 AS one');
  for (let n = 1; n <= 10; n++) await postgres.query('shop', `CREATE TABLE small_${n} ()`);
  redis.cli(['mset', 'a', '1', 'b', '2']);
  redis.cli(['hset', 'h', 'f', 'v']);
  redis.cli(['expire', 'a', '100000']);
  redis.cli(['-n', '3', 'set', 'c', '3']);
  bench = makeBench({ DATABASE_URL: postgres.url('shop'), REDIS_URL: redis.url() });
  const files = join(bench.folder, 'files');
  mkdirSync(join(files, 'sub'), { recursive: true });
  writeFileSync(join(files, 'one'), 'x'.repeat(2048));
  writeFileSync(join(files, 'sub', 'two'), '');
  symlinkSync('one', join(files, 'link'));
  bench.env = { ...bench.env, BACKUP_FILES: files };
  await bench.run('init');
  await bench.backup();
  await bench.run('validate latest --quick');
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([postgres?.stop(), redis?.stop()]);
});

test('databases, largest tables, keys and files are tables; no name drives the terminal', async () => {
  const { stdout, exitCode } = await bench.run('show latest');
  assert.equal(exitCode, 0);
  assert.match(stdout, /^database: PostgreSQL [\d.]+, by pg_dump [\d.]+$/m);
  assert.match(stdout, /^shop +postgres +UTF8 +12 +1,501 +[\d.]+ KiB/m);
  assert.match(
    stdout,
    /^DATABASE +TABLE +ROWS +ON DISK +COMPARED BY\nshop +public\.order +1,500 +[\d.]+ KiB +rows, fingerprint$/m,
  );
  assert.match(stdout, /^shop +public\.evil\\u001b\[2J\\u000arow \\u202etxt +1 /m);
  assert.match(stdout, /^\(the 10 largest of each database, of 12 tables; all: --json\)$/m);
  assert.match(stdout, /^shop +plpgsql +1\.0 +pg_catalog$/m);
  assert.match(stdout, /^DB +KEYS +EXPIRING +BY TYPE\n +0 +3 +1 +2 string, 1 hash\n +3 +1 +0 +1 string$/m);
  assert.match(stdout, /^moment +a snapshot: all keys as of one moment$/m);
  assert.match(stdout, /^KIND +COUNT +SIZE\nfiles +2 +2\.0 KiB$/m);
  assert.match(stdout, /^symbolic links +1$/m);
  assert.match(stdout, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ +quick +ok /m);
  assert.doesNotMatch(stdout.replaceAll('\n', ''), /[\p{Cc}\p{Bidi_Control}]/u);
});

test('--json has every table as it was recorded', async () => {
  const shown = documents.show.parse(await bench.json('show latest'));
  const facts = postgresFacts.parse(shown.components.find(({ kind }) => kind === 'postgres')?.facts);
  assert.equal(facts.databases[0]?.tables.length, 12);
  assert.ok(facts.databases[0]?.tables.some(({ name }) => name === 'evil\u001b[2J\nrow \u202etxt'));
});
