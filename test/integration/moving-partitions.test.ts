/**
 * Partitions whose rows lie elsewhere after a restore, as PostgreSQL's hash of their keys is made of OIDs: they are
 * restored through their table and compared together, in restores and drills. And a table whose index needs an
 * extension that the configuration trusts: it is counted by a query, there too.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import type { DrillResult } from '../../src/operations/drill/request.ts';
import type { ShowResult } from '../../src/operations/list/request.ts';
import type { DatabaseFacts } from '../../src/source/postgres/facts/facts.ts';
import { verifyDatabase } from '../../src/source/postgres/restore/verify.ts';
import { type Bench, makeBench } from '../helpers/cli/command-run.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';

let server: TestPostgres;
let bench: Bench;

const colours = ['r', 'g', 'b', 'k', 'm', 'y'];
const rowsEach = 600;

/** Type of the key → a value of it, made of the colour of a row. */
const keys: Readonly<Record<string, readonly [type: string, value: string]>> = {
  of_enum: ['colour', 'c'],
  of_array: ['colour[]', 'ARRAY[c, c]'],
  of_composite: ['pair', 'ROW(n, c)::pair'],
  of_domain: ['shade', 'c::shade'],
  of_range: ['colours', 'colours(NULL, c)'],
  of_class: ['regclass', `(ARRAY['one', 'two', 'three']::regclass[])[1 + n % 3]`],
};

before(async () => {
  server = await startPostgres();
  bench = makeBench({ DATABASE_URL: server.url('shop') });
  const main = {
    postgres: { url: { env: 'DATABASE_URL' }, databases: ['shop'], bigTableMiB: 1, trustedExtensions: ['xml2'] },
  };
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ targets: { main } }));
  await server.psql('postgres', 'CREATE DATABASE shop');
  // OIDs of the source are others than those of a restore.
  await server.psql(
    'shop',
    `CREATE TABLE one (n int); CREATE TABLE two (n int); CREATE TABLE three (n int);
     CREATE TYPE colour AS ENUM (${colours.map((each) => `'${each}'`).join(', ')});
     CREATE TYPE pair AS (n int, c colour); CREATE DOMAIN shade AS colour;
     CREATE TYPE colours AS RANGE (subtype = colour);
     CREATE TABLE plain (id int, t text) PARTITION BY HASH (t);
     CREATE TABLE plain_0 PARTITION OF plain FOR VALUES WITH (MODULUS 2, REMAINDER 0);
     CREATE TABLE plain_1 PARTITION OF plain FOR VALUES WITH (MODULUS 2, REMAINDER 1);
     INSERT INTO plain SELECT n, n::text FROM generate_series(1, ${rowsEach}) n;
     CREATE TABLE outer_list (id int, c colour) PARTITION BY LIST ((id % 2));
     CREATE TABLE outer_0 PARTITION OF outer_list FOR VALUES IN (0);
     CREATE TABLE outer_1 PARTITION OF outer_list FOR VALUES IN (1) PARTITION BY HASH (c);
     ${twoPartitions('outer_1')}
     CREATE EXTENSION xml2; CREATE TABLE documents (x text); CREATE INDEX ON documents (xpath_string(x, '/a'));
     INSERT INTO documents VALUES ('<a>b</a>');`,
  );
  for (const [name, [type, value]] of Object.entries(keys)) {
    await server.psql(
      'shop',
      `CREATE TABLE ${name} (id int, k ${type}) PARTITION BY HASH (k); ${twoPartitions(name)}
       INSERT INTO ${name} SELECT n, ${value} FROM (${rows}) r`,
    );
  }
  await server.psql('shop', `INSERT INTO outer_list SELECT n, c FROM (${rows}) r`);
  await bench.json('init');
  await bench.backup();
});

after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await server?.stop();
});

const colour = `(enum_range(NULL::colour))[1 + n % ${colours.length}]`;
const rows = `SELECT n, ${colour} AS c FROM generate_series(1, ${rowsEach}) n`;

function twoPartitions(name: string): string {
  return [0, 1]
    .map((n) => `CREATE TABLE ${name}_${n} PARTITION OF ${name} FOR VALUES WITH (MODULUS 2, REMAINDER ${n});`)
    .join(' ');
}

async function recordedFacts(): Promise<DatabaseFacts> {
  const { components } = await bench.json<ShowResult>('show latest');
  const facts = components.find(({ name }) => name === 'database')?.facts as { databases: DatabaseFacts[] };
  assert.ok(facts.databases[0] !== undefined);
  return facts.databases[0];
}

/** Contents of every partitioned table, and how the rows of one lie. */
async function contents(database: string): Promise<string[]> {
  const tables = [...Object.keys(keys), 'outer_list', 'plain'];
  const found = await Promise.all(
    tables.map((name) => server.psql(database, `SELECT md5(string_agg(t::text, ' ' ORDER BY id)) FROM ${name} t`)),
  );
  return found.map((md5, n) => `${tables[n]} ${md5}`);
}

test('a restore beside brings every row back, and compares each tree as one', async () => {
  const { components } = await bench.restore('restore latest --only database --to-database back');
  assert.equal(components[0]?.verified, 'equal');
  assert.deepEqual(await contents('back'), await contents('shop'));
});

test('a drill of it proves it', async () => {
  const { backups } = await bench.json<DrillResult>('integrity --drill');
  assert.equal(backups[0]?.result, 'proven', JSON.stringify(backups));
});

test('one value that changes is found, in a tree and in a partition that keeps its rows', async () => {
  const facts = await recordedFacts();
  const row = 'UPDATE of_array_0 SET id = id + 1000 WHERE ctid = (SELECT min(ctid) FROM of_array_0)';
  await server.psql('shop', `${row}; UPDATE plain_1 SET id = 0 WHERE id = (SELECT min(id) FROM plain_1)`);
  await server.psql('shop', 'DELETE FROM outer_1_0 WHERE id = (SELECT min(id) FROM outer_1_0)');
  const context = { signal: new AbortController().signal, emit: () => {} };
  const url = parsePostgresUrl(server.url('shop'));
  const request = { url, database: 'shop', facts, jobs: 2, trustedExtensions: ['xml2'] };
  const { mismatches } = await verifyDatabase(request, context);
  assert.deepEqual(mismatches.map(({ what, kind }) => `${what} ${kind}`).toSorted(), [
    '"public"."of_array" content',
    '"public"."outer_1" rows',
    '"public"."plain_1" content',
  ]);
});

test('a table that needs a trusted extension is counted by a query, and the backup says which it trusted', async () => {
  const { tables, trustedExtensions } = await recordedFacts();
  assert.deepEqual(trustedExtensions, ['xml2']);
  assert.equal(tables.find(({ name }) => name === 'documents')?.method, 'record');
});
