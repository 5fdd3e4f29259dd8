/** Chosen tables, into a new database or an existing one; rows alone. All or nothing. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import type { LifeboatEvent } from '../../src/lib/events.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { restorePostgres } from '../../src/source/postgres/restore/new-database.ts';
import {
  type ExistingRestoreRequest,
  restoreIntoExisting,
} from '../../src/source/postgres/restore/existing-database.ts';
import { type Parts, breakingReader, dumpParts } from '../helpers/source/postgres-parts.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';

let server: TestPostgres;
let parts: Parts;
const scratchParent = mkdtempSync(join(tmpdir(), 'lbscratch-'));
const events: LifeboatEvent[] = [];
const context = { signal: new AbortController().signal, emit: (event: LifeboatEvent) => void events.push(event) };

before(async () => {
  server = await startPostgres();
  await server.query('postgres', 'CREATE DATABASE shop TEMPLATE template0; ');
  await server.psql(
    'shop',
    `
    CREATE SCHEMA s; CREATE EXTENSION hstore;
    CREATE TYPE s.color AS ENUM ('red', 'blue');
    CREATE FUNCTION s.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE s."odd.t able" (id serial PRIMARY KEY, c s.color, h hstore, t text);
    CREATE INDEX by_t ON s."odd.t able" (t);
    CREATE TRIGGER touched BEFORE UPDATE ON s."odd.t able" FOR EACH ROW EXECUTE FUNCTION s.touch();
    COMMENT ON COLUMN s."odd.t able".t IS 'text'; GRANT SELECT ON s."odd.t able" TO PUBLIC;
    ALTER TABLE s."odd.t able" ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON s."odd.t able" USING (id > 0);
    INSERT INTO s."odd.t able" (c, t) SELECT 'red', 'row ' || g FROM generate_series(1, 500) g;
    CREATE TABLE events (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
    CREATE TABLE events_1a PARTITION OF events_1 FOR VALUES FROM (0) TO (1000);
    CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (100) TO (200);
    INSERT INTO events SELECT g, g % 200 FROM generate_series(1, 900) g;
    CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
    ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE;
    INSERT INTO a SELECT g, NULL FROM generate_series(1, 50) g;
    INSERT INTO b SELECT g, g FROM generate_series(1, 50) g; UPDATE a SET b = id;
    CREATE TABLE hit (id int, at int, FOREIGN KEY (id, at) REFERENCES events);
    INSERT INTO hit SELECT id, at FROM events LIMIT 20;
    CREATE VIEW red AS SELECT * FROM s."odd.t able" WHERE c = 'red';`,
  );
  parts = await dumpParts(server, 'shop', [{ schema: 's', name: 'odd.t able' }]);
});

after(async () => {
  rmSync(scratchParent, { recursive: true, force: true });
  parts?.[Symbol.dispose]();
  await server?.stop();
});

function request(
  targetDatabase: string,
  tables: string[] | undefined,
  more: Partial<ExistingRestoreRequest> = {},
): ExistingRestoreRequest {
  return {
    reader: parts.reader,
    facts: parts.facts,
    database: 'shop',
    targetUrl: parsePostgresUrl(server.url()),
    targetDatabase,
    jobs: 2,
    scratchParent,
    ...(tables === undefined ? {} : { selection: { tables } }),
    ...more,
  };
}

/** Every object of a database in words: what a restore of parts made. */
async function objects(database: string): Promise<string[]> {
  const rows = await server.query(
    database,
    `
    SELECT pg_describe_object(classid, objid, 0) AS name FROM (
      SELECT 'pg_class'::regclass AS classid, c.oid AS objid FROM pg_class c
        JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN ('public', 's') AND relkind <> 't'
      UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
      UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE NOT tgisinternal
      UNION ALL SELECT 'pg_policy'::regclass, oid FROM pg_policy
      UNION ALL SELECT 'pg_extension'::regclass, oid FROM pg_extension) x
      ORDER BY 1`,
  );
  return rows.map(({ name }) => name ?? '');
}

async function rows(database: string, table: string): Promise<number> {
  return Number((await server.query(database, `SELECT count(*) AS n FROM ${table}`))[0]?.['n']);
}

async function failure(work: Promise<unknown>): Promise<LifeboatError> {
  const error: unknown = await work.then(
    () => assert.fail('it succeeded'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof LifeboatError, String(error));
  return error;
}

test('one table with all that hangs on it and all that it rests on', async () => {
  const report = await restorePostgres(request('one', ['s."odd.t able"']), context);
  assert.equal(report.tables, 1);
  assert.deepEqual(report.verified?.mismatches, []);
  assert.deepEqual(await objects('one'), [
    'extension hstore',
    'extension plpgsql',
    'index s."odd.t able_pkey"',
    'index s.by_t',
    'policy p on table s."odd.t able"',
    'sequence s."odd.t able_id_seq"',
    'table s."odd.t able"',
    'trigger touched on table s."odd.t able"',
  ]);
  const details = await server.query(
    'one',
    `SELECT (SELECT count(*) FROM s."odd.t able") AS n, nextval('s."odd.t able_id_seq"') AS next, ` +
      `col_description('s."odd.t able"'::regclass, 4) AS comment, relacl::text LIKE '%=r/%' AS granted, ` +
      `relrowsecurity AS rls FROM pg_class WHERE oid = 's."odd.t able"'::regclass`,
  );
  assert.deepEqual(details, [{ n: '500', next: '501', comment: 'text', granted: 't', rls: 't' }]);
});

test('a partitioned table brings its partitions; a foreign key to what is not chosen is left and told', async () => {
  const report = await restorePostgres(request('partitioned', ['events', 'public.hi?', 'a']), context);
  assert.equal(await rows('partitioned', 'events'), 900);
  assert.equal(await rows('partitioned', 'hit'), 20);
  const made = await objects('partitioned');
  assert.ok(
    made.includes('table events_1a') &&
      made.includes('constraint hit_id_at_fkey on table hit') &&
      !made.some((name) => name.endsWith(' b')),
    made.join(),
  );
  assert.match(report.notes.join(), /a_b_fkey is not restored/);
});

test('a view brings its table without rows', async () => {
  const report = await restorePostgres(request('viewed', ['red']), context);
  assert.equal(await rows('viewed', 's."odd.t able"'), 0);
  assert.match(report.notes.join(), /without rows/);
});

test('a pattern that fits nothing changes nothing', async () => {
  const error = await failure(restorePostgres(request('none', ['public.Events']), context));
  assert.equal(error.code, 'usage');
  assert.equal((await server.query('postgres', `SELECT 1 FROM pg_database WHERE datname LIKE 'none%'`)).length, 0);
});

test('tables into an existing database, all or nothing', async () => {
  await server.query('postgres', 'CREATE DATABASE existing TEMPLATE template0');
  await server.query('existing', 'CREATE TABLE mine (a int)');
  const original = await objects('existing');
  for (const [artifact, bytes] of [
    ['data.dump', 12_000],
    ['data-00000000.dump', 100],
    ['schema.dump', 5000],
  ] as const) {
    const error = await failure(
      restoreIntoExisting(
        request('existing', ['events', '"odd.t able"', 'a', 'b'], {
          reader: breakingReader(parts.reader, artifact, bytes, new LifeboatError('storage', 'gone')),
        }),
        context,
      ),
    );
    assert.equal(error.code, 'storage', error.message);
    assert.deepEqual(await objects('existing'), original);
  }
  const report = await restoreIntoExisting(request('existing', ['events', '"odd.t able"', 'a', 'b']), context);
  assert.deepEqual(report.verified?.mismatches, []);
  assert.equal(await rows('existing', 'events'), 900);
  assert.equal((await failure(restoreIntoExisting(request('existing', ['events']), context))).code, 'confirmation');
});

test('rows alone, into empty tables, with foreign keys in circles', async () => {
  await restorePostgres(request('shell', undefined, { selection: { schemaOnly: true } }), context);
  const data = { selection: { dataOnly: true } };
  const report = await restoreIntoExisting(request('shell', undefined, data), context);
  assert.deepEqual(report.verified?.mismatches, []);
  assert.equal(await rows('shell', 'a'), 50);
  assert.equal((await failure(restoreIntoExisting(request('shell', undefined, data), context))).code, 'confirmation');
  const clash = await failure(restoreIntoExisting(request('shell', undefined, { ...data, appendRows: true }), context));
  assert.equal(clash.code, 'integrity');
  assert.match(clash.message, /duplicate key/);
  assert.match(clash.state ?? '', /nothing was changed/);
  assert.equal(await rows('shell', 'a'), 50);
});

test('rows whose references are missing are refused', async () => {
  await restorePostgres(request('orphans', undefined, { selection: { schemaOnly: true } }), context);
  const error = await failure(
    restoreIntoExisting(request('orphans', undefined, { selection: { dataOnly: true, tables: ['hit'] } }), context),
  );
  assert.equal(error.code, 'integrity');
  assert.match(error.message, /hit reference rows of .*events/);
  assert.equal(await rows('orphans', 'hit'), 0);
});

test('nothing stays in the temporary folder', () => {
  assert.deepEqual(readdirSync(scratchParent), []);
});
