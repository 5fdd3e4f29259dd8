/**
 * The database that PostgreSQL's own regression tests leave behind, with objects of nearly every kind: backed up,
 * drilled, and restored by one session and by four, to what plain pg_dump and pg_restore make of it.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runTool } from '../../src/lib/exec.ts';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import type { DrillResult } from '../../src/operations/drill/request.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { fillByRegressionTests } from '../helpers/versions/regression-tests.ts';

let postgres: TestPostgres;
let bench: Bench;

before(async () => {
  // In-place tablespaces: scripts make one without a folder. Errors are meant to happen, and need no log.
  const settings = { allow_in_place_tablespaces: 'on', log_min_messages: 'fatal', log_min_error_statement: 'panic' };
  postgres = await startPostgres({ settings });
  await fillByRegressionTests(postgres, 'regression');
  await copyPlainly('regression', 'oracle');
  bench = makeBench({ DATABASE_URL: postgres.url('regression') });
  await bench.json('init');
  await bench.json<BackupResult>('backup database');
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await postgres?.stop();
});

/** A database as pg_restore makes it of pg_dump's archive: columns of children, for one, come in another order then. */
async function copyPlainly(from: string, to: string): Promise<void> {
  const { env, binDir } = postgres;
  const folder = mkdtempSync(join(tmpdir(), 'lifeboat-test-oracle-'));
  try {
    const file = join(folder, 'dump');
    await runTool({ file: `${binDir}/pg_dump`, args: ['--format=custom', `--file=${file}`, from], env });
    await postgres.query('postgres', `CREATE DATABASE ${to} TEMPLATE template0`);
    await runTool({ file: `${binDir}/pg_restore`, args: [`--dbname=${to}`, '--exit-on-error', file], env });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Statements and rows as pg_dump writes them, in an order of ours: rows may lie in another one. */
async function dumpOf(database: string, ...options: string[]): Promise<string[]> {
  const args = ['--no-sync', ...options, database];
  const { stdout } = await runTool({ file: `${postgres.binDir}/pg_dump`, args, env: postgres.env });
  return stdout.split('\n').filter((line) => !/^\\(un)?restrict /.test(line));
}

test('it is the database that was meant: objects of many kinds', async () => {
  const [row] = await postgres.query(
    'regression',
    `SELECT (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f')) AS relations,
       (SELECT count(*) FROM pg_proc WHERE oid >= 16384) AS functions,
       (SELECT count(*) FROM pg_type WHERE oid >= 16384) AS types`,
  );
  assert.ok(Number(row?.['relations']) > 700, JSON.stringify(row));
  assert.ok(Number(row?.['functions']) > 200, JSON.stringify(row));
  assert.ok(Number(row?.['types']) > 1000, JSON.stringify(row));
});

test('a drill proves it', async () => {
  const drill = await bench.json<DrillResult>('integrity --drill');
  assert.deepEqual(
    drill.backups.map(({ result }) => result),
    ['proven'],
  );
});

for (const jobs of [1, 4]) {
  test(`restored by ${jobs} sessions it gives the same dump`, async () => {
    const name = `restored_${jobs}`;
    await bench.json(`restore latest --to-database ${name} --jobs ${jobs}`);
    assert.deepEqual(await dumpOf(name, '--schema-only'), await dumpOf('oracle', '--schema-only'));
    const rows = async (database: string): Promise<string[]> => (await dumpOf(database, '--data-only')).toSorted();
    assert.deepEqual(await rows(name), await rows('oracle'));
    await postgres.query('postgres', `DROP DATABASE ${name}`);
  });
}
