/**
 * Functions that name something without its schema, called by constraints, generated columns, domains, index
 * expressions and materialized views: pg_restore alone loses what calls them. They come back whole, and it is said;
 * where no search_path leads to what they name, the way that the message tells brings it back.
 */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { LifeboatError } from '../../src/lib/errors.ts';
import type { LifeboatEvent } from '../../src/lib/events.ts';
import { runTool } from '../../src/lib/exec.ts';
import { restoreIntoExisting } from '../../src/source/postgres/restore/existing-database.ts';
import { restorePostgres } from '../../src/source/postgres/restore/new-database.ts';
import type { PostgresRestoreRequest } from '../../src/source/postgres/restore/request.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { dumpParts, type Parts } from '../helpers/source/postgres-parts.ts';

let server: TestPostgres;
let bench: Bench;
const warnings: string[] = [];
const context = {
  signal: new AbortController().signal,
  emit: (event: LifeboatEvent) => void (event.type === 'warning' && warnings.push(event.message)),
};

const databases: Readonly<Record<string, string>> = {
  shop: `CREATE SCHEMA rules; ALTER DATABASE shop SET search_path = rules, public; SET search_path = rules, public;
    CREATE TABLE rules.rates (rate numeric); INSERT INTO rules.rates VALUES (2);
    CREATE FUNCTION rules.helper(i int) RETURNS bool LANGUAGE sql AS 'SELECT i > 0';
    CREATE FUNCTION public.chk(i int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN helper(i); END';
    CREATE FUNCTION public.price(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE
      AS 'SELECT n * (SELECT rate FROM rates)';
    CREATE DOMAIN public.positive AS int CHECK (chk(VALUE));
    CREATE TABLE public.lost (a int CHECK (chk(a))); INSERT INTO lost SELECT generate_series(1, 10);
    CREATE TABLE public.made (n numeric, p numeric GENERATED ALWAYS AS (price(n)) STORED, d positive);
    INSERT INTO made (n, d) SELECT g, g FROM generate_series(1, 500) g;
    CREATE INDEX made_price ON public.made (price(n + 1)) WHERE price(n) > 3;
    CREATE MATERIALIZED VIEW public.sums AS SELECT sum(price(n)) AS sum FROM made;
    CREATE TABLE public.kept (a int); INSERT INTO kept VALUES (1)`,
  places: `CREATE EXTENSION cube; CREATE EXTENSION earthdistance;
    CREATE TABLE place (name text, lat float, lon float);
    INSERT INTO place VALUES ('a', 1, 2), ('b', 3, 4);
    CREATE INDEX place_earth ON place USING gist (ll_to_earth(lat, lon))`,
  folded: `CREATE EXTENSION unaccent;
    CREATE FUNCTION fold(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE
      AS $$ BEGIN RETURN unaccent('unaccent', t); END $$;
    CREATE TABLE names (n text); INSERT INTO names VALUES ('é');
    ALTER TABLE names ADD CONSTRAINT folded CHECK (fold(n) <> '') NOT VALID;
    CREATE UNIQUE INDEX ON names (fold(n)); ALTER TABLE names VALIDATE CONSTRAINT folded;
    CREATE STATISTICS names_fold ON (fold(n)) FROM names`,
};

before(async () => {
  server = await startPostgres();
  for (const [name, script] of Object.entries(databases)) {
    await server.query('postgres', `CREATE DATABASE ${name}`);
    await server.psql(name, script);
  }
  bench = makeBench({ DATABASE_URL: server.url('shop') });
  chmodSync(bench.folder, 0o755);
  chmodSync(bench.tmp, 0o1777);
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await server?.stop();
});

async function dumpOf(name: string): Promise<string> {
  const { stdout } = await runTool({ file: `${server.binDir}/pg_dump`, args: ['-d', name], env: { ...server.env } });
  return stdout.replaceAll(/^\\(un)?restrict .*$/gm, '');
}

function request(database: string, { reader, facts }: Parts, jobs: number): PostgresRestoreRequest {
  const targetDatabase = `${database}_back${jobs}`;
  return { reader, facts, database, targetUrl: parsePostgresUrl(server.url()), targetDatabase, jobs };
}

describe('with the search_path of their database all of it comes back', () => {
  for (const name of Object.keys(databases)) {
    for (const jobs of [1, 3]) {
      test(`${name}, ${jobs} jobs`, async () => {
        using parts = await dumpParts(server, name);
        warnings.length = 0;
        const report = await restorePostgres(request(name, parts, jobs), context);
        assert.deepEqual(report.verified?.mismatches, []);
        assert.equal(await dumpOf(`${name}_back${jobs}`), await dumpOf(name));
        assert.ok(warnings.some((message) => /without its schema; pg_restore alone loses this/.test(message)));
        assert.deepEqual(
          await server.query(`${name}_back${jobs}`, 'SELECT 1 FROM pg_proc WHERE proconfig IS NOT NULL'),
          [],
        );
      });
    }
  }
});

test('doctor tells what pg_restore alone would lose, and what to do; a backup what lifeboat would lose', async () => {
  await bench.json('init');
  const { checks } = await bench.json<{ checks: { message: string; hint?: string }[] }>('doctor', { exitCode: 3 });
  const told = checks.filter(({ message }) => /without a schema/.test(message));
  const names = told.map(({ message }) => /function \S+, which it calls, names \S+/.exec(message)?.[0] ?? '');
  assert.deepEqual(names.sort(), [
    'function public.chk(integer), which it calls, names helper',
    'function public.price(numeric), which it calls, names rates',
  ]);
  assert.match(told[0]?.hint ?? '', /ALTER FUNCTION \S+ SET search_path = "rules", "pg_temp"/);
  await server.query('postgres', 'ALTER DATABASE shop RESET search_path');
  const { warnings: lost } = await bench.json<{ warnings: string[] }>('backup', { exitCode: 3 });
  const unrestorable = lost.filter((message) => !/not counted/.test(message));
  assert.equal(unrestorable.length, 2);
  for (const message of unrestorable) {
    assert.match(message, /cannot be restored as it is: function .*, which it calls, names/);
  }
  await server.query('postgres', 'ALTER DATABASE shop SET search_path = rules, public');
});

test('a drill proves it, with a note', async () => {
  // A materialized view that reaches such a function is not counted, and that is said.
  const { warnings: others } = await bench.json<{ warnings: string[] }>('backup', { exitCode: 3 });
  assert.ok(others.every((message) => /not counted/.test(message)));
  const { backups } = documents.drill.parse(await bench.json('integrity --drill'));
  const [component] = backups[0]?.components ?? [];
  assert.equal(component?.result, 'equal', JSON.stringify(component));
  assert.match(component.notes.join(), /"TABLE DATA lost postgres".*pg_restore alone loses this/);
});

test('a value that names an index, and a check that no search_path helps: definitions first, then rows', async () => {
  await server.query('postgres', 'CREATE DATABASE late');
  await server.psql(
    'late',
    `CREATE TABLE watched (r regclass); CREATE INDEX watched_r ON watched (r);
    INSERT INTO watched VALUES ('watched_r')`,
  );
  using parts = await dumpParts(server, 'late');
  const { targetDatabase, ...rest } = request('late', parts, 1);
  const error = await restorePostgres({ ...rest, targetDatabase }, context).catch((reason: unknown) => reason);
  assert.ok(error instanceof LifeboatError && error.code === 'integrity', String(error));
  assert.match(error.hint ?? '', /regclass names what is made after the rows.*--schema-only.*--data-only/);
  await restorePostgres({ ...rest, targetDatabase, selection: { schemaOnly: true } }, context);
  await restoreIntoExisting({ ...rest, targetDatabase, selection: { dataOnly: true } }, context);
  assert.equal(await dumpOf(targetDatabase), await dumpOf('late'));
});
