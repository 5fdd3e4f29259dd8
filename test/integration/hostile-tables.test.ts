/**
 * Tables whose owner's functions PostgreSQL's planner would run in any SELECT on them: whatever we do as a superuser,
 * none runs, and yet each is counted and compared exactly.
 */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import type { ShowResult } from '../../src/operations/list/request.ts';
import { fingerprintTables } from '../../src/source/postgres/facts/fingerprint.ts';
import type { DatabaseFacts } from '../../src/source/postgres/facts/facts.ts';
import { verifyDatabase } from '../../src/source/postgres/restore/verify.ts';
import { type Bench, makeBench } from '../helpers/cli/command-run.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';
import { type HostileDatabase, createHostileDatabase } from '../helpers/source/hostile-database.ts';

let server: TestPostgres;
let bench: Bench;
let hostile: HostileDatabase;

/** By table; `SELECT` marks those on which a planned count or hash springs the trap. */
const tables: Readonly<Record<string, string>> = {
  index_expression:
    "CREATE INDEX ON index_expression (evil.trapped(note)); CREATE INDEX ON index_expression (evil.trapped('x'))",
  index_predicate: "CREATE INDEX ON index_predicate (n) WHERE evil.trapped('x')",
  inlined: 'CREATE INDEX ON inlined (evil.inlined(note))',
  operator: "CREATE INDEX ON operator (('x' OPERATOR(evil.===) 'y'))",
  statistics: "CREATE STATISTICS s ON (evil.trapped('x')), (n + 1) FROM statistics",
  domain:
    'CREATE DOMAIN evil.short AS pg_catalog.text CHECK (evil.trapped(VALUE)); ALTER TABLE domain ADD d evil.short',
  domain_array: 'ALTER TABLE domain_array ADD d evil.short[]',
  composite: 'CREATE TYPE evil.pair AS (a pg_catalog.text, b evil.short); ALTER TABLE composite ADD d evil.pair',
  cast_to_text: "ALTER TABLE cast_to_text ADD m evil.mood DEFAULT 'sad'",
  policy:
    'ALTER TABLE policy ENABLE ROW LEVEL SECURITY; ALTER TABLE policy FORCE ROW LEVEL SECURITY; ' +
    "CREATE POLICY p ON policy USING (evil.trapped('x'))",
  rule: "CREATE RULE r AS ON INSERT TO rule DO ALSO SELECT evil.trapped('x')",
  constraint_check: "ALTER TABLE constraint_check ADD CHECK (evil.trapped('x'))",
  generated: 'ALTER TABLE generated ADD g boolean GENERATED ALWAYS AS (evil.trapped(note)) STORED',
  defaulted: "ALTER TABLE defaulted ADD g boolean DEFAULT evil.trapped('x')",
};

const rowsEach = 50;

before(async () => {
  server = await startPostgres();
  bench = makeBench({ DATABASE_URL: server.url('app') });
  chmodSync(bench.folder, 0o755);
  hostile = await createHostileDatabase(server, bench.folder);
  await asOwner(`
    CREATE TYPE evil.mood AS ENUM ('sad', 'glad');
    CREATE FUNCTION evil.mood_text(m evil.mood) RETURNS pg_catalog.text LANGUAGE plpgsql IMMUTABLE AS $$
      BEGIN PERFORM evil.trap(); RETURN 'mood'; END $$;
    CREATE CAST (evil.mood AS pg_catalog.text) WITH FUNCTION evil.mood_text(evil.mood);
    CREATE FUNCTION evil.inlined(t pg_catalog.text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
      'SELECT evil.trapped(''x'')';
    CREATE FUNCTION evil.same(a pg_catalog.text, b pg_catalog.text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
      BEGIN PERFORM evil.trap(); RETURN true; END $$;
    CREATE OPERATOR evil.=== (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = evil.same);
    CREATE TABLE ordinary (n integer PRIMARY KEY, note pg_catalog.text);
    INSERT INTO ordinary SELECT n, 'note' FROM generate_series(1, 70) AS n;
    CREATE MATERIALIZED VIEW ordinary_view AS SELECT n FROM ordinary;`);
  for (const [name, sql] of Object.entries(tables)) {
    await asOwner(`
      CREATE TABLE ${name} (n integer, note pg_catalog.text);
      INSERT INTO ${name}
        SELECT n, E'line\\n\\\\.\\t' OPERATOR(pg_catalog.||) n FROM generate_series(1, ${rowsEach}) AS n;
      ${sql};`);
  }
  await asOwner(`
    CREATE FUNCTION evil.bucket(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
      BEGIN PERFORM evil.trap(); RETURN 1; END $$;
    CREATE TABLE partitioned (n integer, note pg_catalog.text) PARTITION BY LIST (evil.bucket(n));
    CREATE TABLE part PARTITION OF partitioned FOR VALUES IN (1);
    INSERT INTO partitioned SELECT n, 'x' FROM generate_series(1, ${rowsEach}) AS n;
    CREATE MATERIALIZED VIEW trapped_view AS SELECT n FROM index_expression;
    CREATE INDEX ON trapped_view (evil.trapped('x'));`);
});

after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await server?.stop();
});

/** Objects go to public, and nothing of the owner's stands before PostgreSQL's words. */
async function asOwner(sql: string): Promise<string> {
  return server.psql('app', `SET SESSION AUTHORIZATION mallory; SET search_path = public, pg_catalog;\n${sql}`);
}

test('the trap springs for a superuser who only counts such a table', async () => {
  const sprung: string[] = [];
  for (const name of [...Object.keys(tables), 'part', 'trapped_view']) {
    const column = name === 'cast_to_text' ? 'm::pg_catalog.text' : '*';
    await server.psql('app', `SET search_path = pg_catalog; SELECT count(${column}) FROM ONLY public.${name}`);
    if ((await hostile.spoils()).length > 0) sprung.push(name);
  }
  assert.deepEqual(sprung, [
    'index_expression',
    'index_predicate',
    'inlined',
    'operator',
    'statistics',
    'cast_to_text',
    'trapped_view',
  ]);
});

/** In this order; each must end as it says. */
const commands: readonly (readonly [line: string, exitCodes: readonly number[]])[] = [
  ['init', [0]],
  ['doctor', [0, 3]],
  ['backup --dry-run', [0]],
  ['backup database', [0, 3]],
  ['status', [0, 3, 19]],
  ['backup database', [0, 3]],
  ['validate latest', [0]],
  ['restore latest --dry-run', [0]],
];

for (const [line, exitCodes] of commands) {
  test(`${line}: runs nothing of theirs`, async () => {
    const result = await bench.run(line);
    assert.deepEqual(await hostile.spoils(), []);
    assert.ok(exitCodes.includes(result.exitCode), `${result.exitCode}: ${result.stdout}${result.stderr}`);
  });
}

async function recordedFacts(): Promise<DatabaseFacts> {
  const { components } = await bench.json<ShowResult>('show latest');
  const facts = components.find(({ name }) => name === 'database')?.facts as { databases: DatabaseFacts[] };
  assert.ok(facts.databases[0] !== undefined);
  return facts.databases[0];
}

test('every table is counted and summed, in the way that is safe for it', async () => {
  const { tables: recorded, uncounted } = await recordedFacts();
  const counts = recorded.map(({ name, rows, method }) => [name, rows, method]);
  const expected = [...Object.keys(tables), 'part'].map((name) => [name, String(rowsEach), 'copy']);
  expected.push(['ordinary', '70', 'record']);
  assert.deepEqual(
    counts,
    expected.toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)),
  );
  assert.equal(new Set(recorded.map(({ fingerprint }) => fingerprint)).size > 3, true);
  // A view that is materialized can neither be copied nor held still.
  const views = ['ordinary_view', 'trapped_view'].map((name) => ({ schema: 'public', name }));
  assert.deepEqual(uncounted, views);
});

test('a restore beside is compared exactly, and what could not be counted is said', async () => {
  const { components } = await bench.restore('restore latest --only database');
  await hostile.spoils();
  // The restore has made a superuser of the owner, so that the ordinary view is in nobody else's hands.
  assert.match(components[0]?.summary ?? '', /^17 tables, /);
});

test('what is compared finds one changed value, and runs nothing of theirs', async () => {
  const facts = await recordedFacts();
  const verify = async (): Promise<{ found: string[]; notes: readonly string[] }> => {
    const url = parsePostgresUrl(server.url('app'));
    const context = { signal: new AbortController().signal, emit: () => {} };
    const { mismatches, notes } = await verifyDatabase({ url, database: 'app', facts, jobs: 2 }, context);
    return { found: mismatches.map(({ what, kind }) => `${what} ${kind}`), notes };
  };
  const { found, notes } = await verify();
  assert.deepEqual(found, []);
  assert.deepEqual(notes, [
    `not compared, since a count could run code of an owner's: "public"."ordinary_view", "public"."trapped_view"`,
  ]);
  await asOwner("UPDATE index_expression SET note = 'other' WHERE n = 7; DELETE FROM generated WHERE n = 7");
  assert.deepEqual((await verify()).found, ['"public"."generated" rows', '"public"."index_expression" content']);
  assert.deepEqual(await hostile.spoils(), []);
});

test('facts of an earlier version, which ask for a query on such a table, get a count of its copy', async () => {
  const found = await fingerprintTables(parsePostgresUrl(server.url('app')), {
    only: ({ name }) => name === 'index_predicate',
    method: () => 'record',
  });
  assert.deepEqual(
    found.map(({ rows, method, fingerprint }) => [rows, method, fingerprint]),
    [[String(rowsEach), 'count', undefined]],
  );
  assert.deepEqual(await hostile.spoils(), []);
});

test('an extension that is trusted lends its trust to no function that its owner has added', async () => {
  await asOwner(`
    CREATE EXTENSION citext SCHEMA public;
    CREATE FUNCTION evil.member(t pg_catalog.text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
      BEGIN PERFORM evil.trap(); RETURN true; END $$;
    ALTER EXTENSION citext ADD FUNCTION evil.member(pg_catalog.text);
    CREATE TABLE of_member (n integer); CREATE INDEX ON of_member (evil.member('x'));
    CREATE TABLE of_extension (c public.citext); CREATE INDEX ON of_extension (c)`);
  const found = await fingerprintTables(parsePostgresUrl(server.url('app')), {
    only: ({ name }) => name.startsWith('of_'),
  });
  assert.deepEqual(
    found.map(({ name, method }) => [name, method]),
    [
      ['of_extension', 'record'],
      ['of_member', 'copy'],
    ],
  );
  assert.deepEqual(await hostile.spoils(), []);
});
