/**
 * A backup of PostgreSQL 17 into a server of version 15: by a pg_restore that can read it, told before it begins, and
 * with the names of what is left where it fails.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';

let source: TestPostgres;
let target: TestPostgres;
let bench: Bench;

before(async () => {
  [source, target] = await Promise.all([startPostgres({ version: 17 }), startPostgres({ version: 15 })]);
  await source.query('postgres', 'CREATE ROLE app');
  await source.query('postgres', 'CREATE DATABASE plain OWNER app');
  await source.psql('plain', 'CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)');
  bench = makeBench({ DATABASE_URL: source.url('plain'), TARGET_URL: target.url() });
  // Beside those of Debian's folders, where 15 is.
  bench.env = { ...bench.env, PATH: `${source.binDir}:${bench.env['PATH']}` };
  await bench.json('init');
  await bench.backup();
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([source?.stop(), target?.stop()]);
});

const restore = 'restore latest --globals --to-url-env TARGET_URL';

test('what both know comes back, and the older target is told', async () => {
  const { warnings, components } = await bench.json<{
    warnings: string[];
    components: { kind: string; verified: string; created?: string[] }[];
  }>(restore, { exitCode: 3 });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /target server is PostgreSQL 15, older than the backup's \(17/);
  assert.deepEqual(
    components.map(({ kind, verified, created }) => [kind, verified, created]),
    [
      ['globals', 'not-checked', ['role "app"']],
      ['postgres', 'equal', undefined],
    ],
  );
  assert.deepEqual(await target.query('plain', 'SELECT count(*) FROM t'), [{ count: '100' }]);
});

test('what the target does not know fails, and what was made for it is named', async () => {
  await source.query('postgres', 'CREATE ROLE late');
  await source.psql('plain', 'CREATE VIEW newer AS SELECT any_value(i) FROM t');
  await bench.backup();
  const before = await target.query('postgres', 'SELECT datname FROM pg_database ORDER BY 1');
  const result = await bench.run(restore);
  assertFailed(result, 14, /restoring the definitions failed at "VIEW newer/);
  assert.match(result.stderr, /keeps what was created there: role "late"; nothing of the database is left/);
  assert.doesNotMatch(result.stderr, /role "app"/);
  assert.deepEqual(await target.query('postgres', 'SELECT datname FROM pg_database ORDER BY 1'), before);
  assert.equal((await target.query('postgres', "SELECT 1 FROM pg_roles WHERE rolname = 'late'")).length, 1);
});
