/** Fingerprints on a real server: they see every change of a value, and nothing else. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { withConnection } from '../../src/source/postgres/server/connection.ts';
import { readLargeObjects } from '../../src/source/postgres/facts/database-facts.ts';
import type { TableFacts } from '../../src/source/postgres/facts/facts.ts';
import { type FingerprintMethod, fingerprintTables } from '../../src/source/postgres/facts/fingerprint.ts';
import { runTool } from '../../src/lib/exec.ts';
import { join } from 'node:path';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';
import { createSampleDatabase } from '../helpers/source/sample-database.ts';

let server: TestPostgres;

before(async () => {
  server = await startPostgres();
  await createSampleDatabase(server, 'sample', { sizeBytes: 500_000 });
  await server.psql('postgres', 'CREATE DATABASE scratch');
});

after(() => server.stop());

test('values swapped between rows change it, whatever the values', async () => {
  const seeds = Array.from({ length: 60 }, (_, seed) => seed);
  const table = (name: string, a: number, b: number): string =>
    `CREATE TABLE swap.${name} (id int, a int, b text); INSERT INTO ` +
    `swap.${name} VALUES (1, ${a}, 'x'), (2, ${b}, 'y');`;
  await scratch(
    'CREATE SCHEMA swap; ' +
      seeds
        .map((seed) => table(`before${seed}`, seed, seed * 7 + 1) + table(`after${seed}`, seed * 7 + 1, seed))
        .join(''),
  );
  const found = new Map(
    (await fingerprintTables(parsePostgresUrl(server.url('scratch')))).map(({ name, fingerprint }) => [
      name,
      fingerprint,
    ]),
  );
  for (const seed of seeds) assert.notEqual(found.get(`before${seed}`), found.get(`after${seed}`), `seed ${seed}`);
});

test('the order of rows, dropped columns and the order of columns do not', async () => {
  await scratch("CREATE TABLE shuffled AS SELECT g AS id, 'v' || g AS v, g % 3 AS k FROM generate_series(1, 1000) g");
  const before = await printOf('shuffled');
  await scratch(
    'CREATE TABLE other AS SELECT k, v, id FROM shuffled ORDER BY random(); ALTER TABLE other ADD gone int ' +
      'DEFAULT 5; ALTER TABLE other DROP gone',
  );
  assert.equal(await printOf('other'), before);
});

test('one changed value of each type changes it', async () => {
  const columns = await server.query(
    'sample',
    "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'app.customers'::regclass AND attnum > 0 AND NOT " +
      "attisdropped AND attname <> 'id'",
  );
  assert.ok(columns.length > 40);
  const copies = columns.map(({ name }) => {
    // The value of another row in which it is a different one; a given one where all are alike.
    const other =
      changed[name ?? ''] ??
      `(SELECT "${name}" FROM app.customers WHERE "${name}"::text <> (SELECT "${name}"::text FROM app.customers ` +
        'WHERE id = 3) ORDER BY id LIMIT 1)';
    return (
      `CREATE TABLE chg."${name}" AS TABLE app.customers; UPDATE ` +
      `chg."${name}" SET "${name}" = ${other} WHERE id = 3;`
    );
  });
  await server.psql(
    'sample',
    `CREATE SCHEMA chg; CREATE TABLE chg." same" AS TABLE app.customers ORDER BY id DESC; ${copies.join('')}`,
  );
  const found = await fingerprintTables(parsePostgresUrl(server.url('sample')), {
    jobs: 2,
    only: ({ schema, name }) => schema === 'chg' || name === 'customers',
  });
  await server.psql('sample', 'SET client_min_messages = warning; DROP SCHEMA chg CASCADE');
  const original = found.find(({ schema }) => schema === 'app')?.fingerprint;
  assert.deepEqual(
    found.filter(({ fingerprint }) => fingerprint === original).map(({ name }) => name),
    ['customers', ' same'],
  );
  assert.equal(new Set(found.map(({ fingerprint }) => fingerprint)).size, columns.length + 1);
});

test('a table of 1600 arrays has one', async () => {
  await scratch(
    `CREATE TABLE widest (${Array.from({ length: 1600 }, (_, i) => `c${i} "char"[]`).join(', ')}); INSERT INTO ` +
      "widest (c1, c1599) VALUES ('{a}', '{b}'), (NULL, '{{b}}')",
  );
  const before = await printOf('widest');
  await scratch("UPDATE widest SET c1599 = '{b}'");
  assert.notEqual(await printOf('widest'), before);
});

test('letter case counts where the type or the collation calls it equal', async () => {
  await scratch(
    "CREATE EXTENSION citext; CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic " +
      '= false); CREATE TABLE lettercase (a citext, b text COLLATE anycase, c text[] COLLATE anycase); INSERT INTO ' +
      "lettercase VALUES ('Aa', 'Bb', ARRAY['Cc'])",
  );
  for (const set of ["a = 'aA'", "b = 'bB'", "c = ARRAY['cC']"]) {
    const before = await printOf('lettercase');
    await scratch(`UPDATE lettercase SET ${set}`);
    assert.notEqual(await printOf('lettercase'), before, set);
  }
});

test('both methods give the same for a restored copy of every type', async () => {
  await server.psql('postgres', 'CREATE DATABASE copy TEMPLATE template0');
  const archive = join(server.socketDir, 'sample.dump');
  await runTool({ file: join(server.binDir, 'pg_dump'), args: ['-Fc', '-f', archive, 'sample'], env: server.env });
  await runTool({
    file: join(server.binDir, 'pg_restore'),
    args: ['--exit-on-error', '-d', 'copy', archive],
    env: server.env,
  });
  for (const method of ['record', 'text'] satisfies FingerprintMethod[]) {
    assert.deepEqual(await prints('copy', method), await prints('sample', method));
  }
  const objects = (database: string): Promise<unknown> =>
    withConnection(parsePostgresUrl(server.url(database)), {}, readLargeObjects);
  assert.deepEqual(await objects('copy'), await objects('sample'));
});

test('large objects: content, zeros at the end and identity count', async () => {
  const read = (): ReturnType<typeof readLargeObjects> =>
    withConnection(parsePostgresUrl(server.url('scratch')), {}, readLargeObjects);
  await scratch("SELECT lo_from_bytea(1001, 'abc'), lo_from_bytea(1002, 'abc')");
  const seen = new Set([(await read()).fingerprint]);
  for (const change of [
    "lo_put(1001, 1, 'x')",
    "lo_put(1001, 1, 'b'), lo_put(1001, 3, '\\x00')",
    "lo_put(1002, 9000, 'y')",
    "lo_unlink(1002), lo_from_bytea(1003, 'abc')",
  ]) {
    await scratch(`SELECT ${change}`);
    seen.add((await read()).fingerprint);
  }
  assert.equal(seen.size, 5);
  assert.deepEqual([(await read()).count, (await read()).bytes], ['2', '7']);
});

test('the same number is found with one session and with several, and in a given snapshot', async () => {
  const one = await fingerprintTables(parsePostgresUrl(server.url('sample')));
  assert.deepEqual(await fingerprintTables(parsePostgresUrl(server.url('sample')), { jobs: 3 }), one);
  await withConnection(parsePostgresUrl(server.url('sample')), {}, async (holder) => {
    await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    const snapshot = (await holder.query('SELECT pg_export_snapshot() AS name'))[0]?.['name'] ?? '';
    await server.query('sample', "INSERT INTO app.cache VALUES ('late', 'v')");
    assert.deepEqual(await fingerprintTables(parsePostgresUrl(server.url('sample')), { snapshot, jobs: 2 }), one);
  });
  const late = await fingerprintTables(parsePostgresUrl(server.url('sample')), {
    only: ({ name }) => name === 'cache',
  });
  assert.deepEqual(
    late.map(({ rows }) => rows),
    ['51'],
  );
});

/** New values for columns of app.customers whose values are all alike in the sample. */
const changed: Readonly<Record<string, string>> = {
  bits: "B'1'",
  query: "'other'",
  reg: "'app.customers'",
  role_: "'postgres'",
  proc: "'app.touch()'",
  best_event: '4',
  dm: "ARRAY['sad']::app.mood[]",
  lsn: "'0/1'",
  tm: "'01:00'",
  ttz: "'12:34:56+03'",
  mac: "'08:00:2b:01:02:04'",
  t3: "ARRAY[ARRAY['a', 'b', 'c', NULL]]",
  mail: "'USER3@Example.org'",
  fuzzy: "'caSE'",
  added_later: "'x'",
  moods: "ARRAY['sad']::app.mood[]",
};

async function scratch(sql: string): Promise<void> {
  await server.psql('scratch', sql);
}

async function printOf(table: string, database = 'scratch'): Promise<string> {
  const found = await fingerprintTables(parsePostgresUrl(server.url(database)), { only: ({ name }) => name === table });
  assert.equal(found.length, 1);
  assert.equal(found[0]?.method, 'record');
  return `${found[0].rows} ${found[0].fingerprint}`;
}

async function prints(database: string, method: FingerprintMethod): Promise<TableFacts[]> {
  const found = await fingerprintTables(parsePostgresUrl(server.url(database)), {
    method: ({ name }) => (name === 'nothing' ? undefined : method),
    only: ({ name }) => name !== 'filled',
  });
  return found.map((table) => ({ ...table, bytes: 0 }));
}
