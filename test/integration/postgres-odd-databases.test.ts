/**
 * Databases that are not as a backup or restore would like them: event triggers that refuse or log what a restore does,
 * settings that keep it from working or change what it reads, templates, one that takes no connections. Each comes back
 * as plain pg_dump and pg_restore bring it back: beside, swapped into the live one's place, and in a drill.
 */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { runTool } from '../../src/lib/exec.ts';
import { restoreIntoExisting } from '../../src/source/postgres/restore/existing-database.ts';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import type { ShowResult } from '../../src/operations/list/request.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { dumpParts } from '../helpers/source/postgres-parts.ts';

let server: TestPostgres;
let bench: Bench;

/** By name of the database; `app` is the one that the URL names. */
const databases: Readonly<Record<string, string>> = {
  app: `CREATE TABLE t (i int); INSERT INTO t VALUES (1);
    ALTER DATABASE app SET default_transaction_read_only = on`,
  refuses: `CREATE TABLE p (i int PRIMARY KEY, n numeric) PARTITION BY RANGE (i);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
    CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
    INSERT INTO p SELECT g, g FROM generate_series(0, 199) g;
    CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM p;
    CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no % here'', tg_tag; END';
    CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION refuse();
    COMMENT ON EVENT TRIGGER no_ddl IS 'ours'`,
  logs: `CREATE TABLE ddl_log (tag text, object text);
    CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.ddl_log SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands(); END $$;
    CREATE EVENT TRIGGER log_ddl ON ddl_command_end EXECUTE FUNCTION note();
    CREATE TABLE parent (i int PRIMARY KEY) PARTITION BY LIST (i);
    CREATE TABLE child PARTITION OF parent FOR VALUES IN (1);
    CREATE INDEX ON parent ((i + 1));
    INSERT INTO parent VALUES (1)`,
  always: `CREATE TABLE dropped (tag text);
    CREATE FUNCTION gone() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.dropped SELECT object_type FROM pg_event_trigger_dropped_objects(); END $$;
    CREATE TABLE x (i int CHECK (i > 0)); INSERT INTO x VALUES (5);
    CREATE FUNCTION made() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.dropped VALUES ('made'); END $$;
    CREATE EVENT TRIGGER on_drop ON sql_drop EXECUTE FUNCTION gone();
    CREATE EVENT TRIGGER on_make ON ddl_command_end WHEN tag IN ('CREATE INDEX', 'CREATE EXTENSION', 'ALTER TABLE')
      EXECUTE FUNCTION made();
    ALTER EVENT TRIGGER on_drop ENABLE ALWAYS; ALTER EVENT TRIGGER on_make ENABLE ALWAYS;
    CREATE INDEX ON x (i)`,
  nulls: `CREATE TABLE a (t text[], i int[]); INSERT INTO a VALUES (ARRAY['NULL', NULL], ARRAY[1, NULL]);
    ALTER DATABASE nulls SET array_nulls = off`,
  hasty: `CREATE TABLE h (i int PRIMARY KEY, d interval, c text DEFAULT 'a\\b',
      b bool GENERATED ALWAYS AS (c = NULL) STORED);
    INSERT INTO h SELECT g, '-1 day -2 hours +3 seconds' FROM generate_series(1, 20000) g;
    ALTER DATABASE hasty SET exit_on_error = on; ALTER DATABASE hasty SET transform_null_equals = on;
    ALTER DATABASE hasty SET default_transaction_isolation = serializable;
    ALTER DATABASE hasty SET default_transaction_deferrable = on;
    ALTER DATABASE hasty SET IntervalStyle = sql_standard; ALTER DATABASE hasty SET DateStyle = 'SQL, DMY';
    ALTER DATABASE hasty SET idle_session_timeout = '5s'; ALTER DATABASE hasty SET statement_timeout = '5s';
    ALTER DATABASE hasty SET session_replication_role = replica; ALTER DATABASE hasty SET default_tablespace = none;
    ALTER DATABASE hasty SET standard_conforming_strings = off; ALTER DATABASE hasty SET backslash_quote = off`,
  base: `CREATE TABLE seed (i int); INSERT INTO seed VALUES (1); ALTER DATABASE base IS_TEMPLATE true`,
};

before(async () => {
  server = await startPostgres();
  for (const [name, script] of Object.entries(databases)) {
    await server.query('postgres', `CREATE DATABASE ${name}`);
    await server.psql(name, script);
  }
  // A role's setting counts as much as a database's.
  await server.query('postgres', 'ALTER ROLE postgres IN DATABASE nulls SET default_transaction_read_only = on');
  bench = makeBench({ DATABASE_URL: server.url('app') });
  await server.query('postgres', 'CREATE DATABASE shut ALLOW_CONNECTIONS false');
  await server.query('template1', 'CREATE EXTENSION hstore');
  const postgres = { url: { env: 'DATABASE_URL' }, databases: ['*'] };
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ targets: { main: { postgres } } }));
  chmodSync(bench.folder, 0o755);
  chmodSync(bench.tmp, 0o1777);
  await bench.json('init');
  const { warnings } = await bench.json<BackupResult & { outcome: 'done' }>('backup', { exitCode: 3 });
  assert.deepEqual(warnings, ['database shut is not backed up: it takes no connections']);
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await server?.stop();
});

test('what "*" leaves out is in show and in doctor; template1 only there', async () => {
  const { components } = await bench.json<ShowResult>('show latest');
  const facts = components[0]?.facts as { leftOut: { database: string; isData: boolean }[] } | undefined;
  assert.deepEqual(
    facts?.leftOut.map(({ database, isData }) => [database, isData]),
    [
      ['template1', false],
      ['shut', true],
    ],
  );
  const { stdout } = await bench.run('show latest');
  assert.match(stdout, /not backed up: template1 +it holds objects of your own/);
  const { checks } = await bench.json<{ checks: { ok: string; message: string }[] }>('doctor', { exitCode: 3 });
  const warned = checks.filter(({ ok, message }) => ok === 'warn' && /is not backed up/.test(message));
  assert.equal(warned.length, 2, JSON.stringify(checks));
});

/** Definitions and rows as pg_dump writes them, without what names the run. */
async function dumpOf(name: string): Promise<string> {
  const env = { ...server.env, PGOPTIONS: '-c statement_timeout=0' };
  const { stdout } = await runTool({ file: `${server.binDir}/pg_dump`, args: ['-d', name], env });
  return stdout.replaceAll(/^\\(un)?restrict .*$/gm, '');
}

/** The settings of a database, and of roles in it; whether it is a template. */
async function settingsOf(name: string): Promise<unknown> {
  const isTemplate = await server.query('postgres', `SELECT datistemplate FROM pg_database WHERE datname = '${name}'`);
  const sql = `SELECT setrole::text AS role, unnest(setconfig) AS setting FROM pg_db_role_setting s
    JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = '${name}' ORDER BY 1, 2`;
  return [isTemplate, await server.query('postgres', sql)];
}

async function restored(name: string): Promise<string> {
  const rows = await server.query('postgres', `SELECT datname FROM pg_database WHERE datname ~ '^${name}_restored_'`);
  assert.equal(rows.length, 1);
  return rows[0]?.['datname'] ?? '';
}

describe('beside what is there', () => {
  before(async () => {
    const { warnings, components } = await bench.restore('restore latest');
    assert.deepEqual(warnings, []);
    // A materialized view is made anew, so there is nothing to compare it with.
    assert.deepEqual(new Set(components.map(({ verified }) => verified)), new Set(['equal', 'partial']));
  });
  for (const name of Object.keys(databases)) {
    test(`${name} is as it was`, async () => {
      const copy = await restored(name);
      assert.equal(await dumpOf(copy), await dumpOf(name));
      assert.deepEqual(await settingsOf(copy), await settingsOf(name));
    });
  }
});

test('swapped into the place of the live ones they are as they were', async () => {
  const names = Object.keys(databases);
  const [before, settings] = [await Promise.all(names.map(dumpOf)), await Promise.all(names.map(settingsOf))];
  await bench.restore('restore latest --into-live --no-backup --confirm main');
  const kept = await server.query('postgres', "SELECT 1 FROM pg_database WHERE datname ~ '_before_'");
  assert.equal(kept.length, before.length + 1);
  assert.deepEqual(await Promise.all(names.map(dumpOf)), before);
  assert.deepEqual(await Promise.all(names.map(settingsOf)), settings);
});

test('a drill proves them, their structure included', async () => {
  const { backups } = documents.drill.parse(await bench.json('integrity --drill'));
  const [component] = backups[0]?.components ?? [];
  assert.equal(component?.result, 'equal', JSON.stringify(component));
  assert.ok(component.steps.some((step) => step.name === 'amcheck'));
  assert.deepEqual(component.notes, []);
});

test('event triggers of a database that is there do not fire for tables that are restored into it', async () => {
  using parts = await dumpParts(server, 'logs');
  await server.query('postgres', 'CREATE DATABASE there');
  await server.psql('there', databases['refuses'] ?? '');
  const target = { targetUrl: parsePostgresUrl(server.url('there')), targetDatabase: 'there' };
  const what = { reader: parts.reader, facts: parts.facts, database: 'logs', selection: { tables: ['parent'] } };
  const context = { signal: new AbortController().signal, emit: () => {} };
  const { verified } = await restoreIntoExisting({ ...what, ...target, jobs: 1 }, context);
  assert.deepEqual(verified?.mismatches, []);
  assert.deepEqual(await server.query('there', 'SELECT i FROM parent'), [{ i: '1' }]);
});
