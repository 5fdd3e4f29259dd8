/** Roles come back with all that is theirs, once or twice; those that are there keep their own. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import type { LifeboatEvent } from '../../src/lib/events.ts';
import { runTool } from '../../src/lib/exec.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { type GlobalsReport, replayGlobals } from '../../src/source/postgres/restore/globals-replay.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';

let from: TestPostgres;
let to: TestPostgres;
let script: string;
const events: LifeboatEvent[] = [];
const context = { signal: new AbortController().signal, emit: (event: LifeboatEvent) => void events.push(event) };

before(async () => {
  [from, to] = await Promise.all([startPostgres(), startPostgres()]);
  await from.psql(
    'postgres',
    String.raw`
    CREATE ROLE "odd; ""role""" LOGIN PASSWORD 'pass''w\ord; --x' CREATEDB CONNECTION LIMIT 3 VALID UNTIL '2040-01-01';
    COMMENT ON ROLE "odd; ""role""" IS E'two\nlines; -- no comment\n\\restrict x';
    CREATE ROLE grp NOLOGIN; CREATE ROLE boss SUPERUSER REPLICATION BYPASSRLS LOGIN;
    CREATE ROLE kept LOGIN PASSWORD 'theirs';
    ALTER ROLE kept SET work_mem = '7MB'; ALTER ROLE grp SET search_path = "$user", public;
    GRANT grp TO "odd; ""role""" WITH ADMIN OPTION; GRANT grp TO kept; GRANT pg_monitor TO grp;
    GRANT SET ON PARAMETER log_statement TO grp;`,
  );
  script = (await runTool({ file: join(from.binDir, 'pg_dumpall'), args: ['--globals-only'], env: { ...from.env } }))
    .stdout;
  script =
    `\\restrict abcdefgh\n${script}\nCREATE TABLESPACE far OWNER grp LOCATION '/nonexistent/far';\nALTER TABLESPACE ` +
    'far SET (seq_page_cost=2);\n\\unrestrict abcdefgh\n';
});

after(async () => {
  await Promise.all([from?.stop(), to?.stop()]);
});

function replay(url = to.url(), overwrite = false): Promise<GlobalsReport> {
  const open = async function* (): AsyncIterable<Uint8Array> {
    yield Buffer.from(script);
  };
  const facts = {
    serverVersion: '15',
    serverVersionNum: 150000,
    toolVersion: '15',
    globals: { artifact: 'globals.sql', roles: [], withPasswords: true },
    databases: [],
  };
  return replayGlobals(
    { reader: { artifacts: [], open }, facts, targetUrl: parsePostgresUrl(url), overwrite },
    context,
  );
}

async function rolesOf(server: TestPostgres): Promise<string> {
  return (
    await runTool({ file: join(server.binDir, 'pg_dumpall'), args: ['--roles-only'], env: { ...server.env } })
  ).stdout.replaceAll(/^(--|\\).*$/gm, '');
}

test('without the rights nothing is changed, and no password is shown', async () => {
  await to.query('postgres', 'CREATE ROLE weak LOGIN CREATEROLE');
  const original = await rolesOf(to);
  const error = await replay(to.url('postgres', 'weak')).then(
    () => assert.fail('it succeeded'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof LifeboatError && error.code === 'integrity', String(error));
  assert.match(error.message, /boss/);
  assert.doesNotMatch(JSON.stringify([error.message, error.facts]), /SCRAM/);
  assert.equal(await rolesOf(to), original);
  await to.query('postgres', 'DROP ROLE weak');
});

test('a role that is there keeps its password, settings and memberships', async () => {
  await to.query('postgres', `CREATE ROLE kept LOGIN PASSWORD 'ours'`);
  const own = await to.query('postgres', `SELECT rolpassword FROM pg_authid WHERE rolname = 'kept'`);
  const report = await replay();
  assert.deepEqual([...report.created].sort(), ['boss', 'grp', 'odd; "role"']);
  assert.deepEqual([...report.existing].sort(), ['kept', 'postgres']);
  assert.deepEqual(report.missingTablespaces, ['far']);
  assert.deepEqual(await to.query('postgres', `SELECT rolpassword FROM pg_authid WHERE rolname = 'kept'`), own);
  assert.doesNotMatch(await rolesOf(to), /work_mem|GRANT grp TO kept/);
  const again = await replay();
  assert.deepEqual(again.created, []);
});

test('all comes back where it is missing, or where it is to be overwritten', async () => {
  await replay(to.url(), true);
  assert.equal(await rolesOf(to), await rolesOf(from));
  await to.psql('postgres', `DROP OWNED BY grp, kept, "odd; ""role"""; DROP ROLE kept, "odd; ""role""", boss, grp`);
  const report = await replay();
  assert.equal(report.created.length, 4);
  assert.equal(await rolesOf(to), await rolesOf(from));
});
