/** Names and comments that read like something else: statements, marks of our own, connection strings, passwords. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { amcheck } from '../../src/source/postgres/cluster/amcheck.ts';
import { replayGlobals } from '../../src/source/postgres/restore/globals-replay.ts';
import { type Bench, makeBench } from '../helpers/cli/command-run.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';

const context = { signal: new AbortController().signal, emit: () => {} };
/** Closes the quotes that a name in the middle of a statement would have. */
const statementName = ' ; ALTER ROLE eve SUPERUSER; --';
const connectionName = 'host=/nonexistent dbname=postgres';

let server: TestPostgres;
let other: TestPostgres;
let bench: Bench;

before(async () => {
  [server, other] = await Promise.all([startPostgres(), startPostgres()]);
  bench = makeBench({ DATABASE_URL: server.url(statementName), OTHER: other.url() });
  for (const each of [server, other]) {
    await each.psql('postgres', 'CREATE ROLE eve LOGIN; CREATE ROLE "x:DATABASE:y"; CREATE ROLE "PUBLIC"');
  }
  await server.psql(
    'postgres',
    `CREATE DATABASE "${statementName}" OWNER eve; SET ROLE eve;
     GRANT CONNECT ON DATABASE "${statementName}" TO "x:DATABASE:y" WITH GRANT OPTION;
     GRANT CREATE ON DATABASE "${statementName}" TO "PUBLIC"`,
  );
  await bench.run('init');
  await bench.backup('backup database');
});

after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([server?.stop(), other?.stop()]);
});

const grantsSql = `
  SELECT d.datname, r.rolname, a.privilege_type, a.is_grantable
  FROM pg_database d, aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
  WHERE d.datname LIKE '%eve%' ORDER BY 2, 3`;

test('names in grants are names only: the restored list is the same, and nobody is a superuser by it', async () => {
  await bench.restore('restore latest --only database --to-url-env OTHER');
  assert.deepEqual(await other.query('postgres', grantsSql), await server.query('postgres', grantsSql));
  const supers = await other.query('postgres', 'SELECT rolname FROM pg_roles WHERE rolsuper');
  assert.deepEqual(supers, [{ rolname: 'postgres' }]);
});

test('a comment that reads like our mark stops no restore, and costs nobody a database', async () => {
  const [row] = await server.query('postgres', "SELECT pg_read_file('/proc/sys/kernel/random/boot_id') AS boot");
  const by = { host: 'h', bootId: row?.['boot']?.trim(), pidNamespace: 'x', pid: 1, processStart: '1', user: 'u' };
  const mark = (target: string): string => JSON.stringify({ target, by, since: '2026-01-01T00:00:00.000Z' });
  const comments: readonly (readonly [name: string, owner: string, comment: string])[] = [
    ['garbage', 'eve', '{'],
    ['strange_restoring_0123abcd', 'eve', mark('app')],
    ['ours_restoring_0123abcd', 'postgres', '{"target": 1}'],
    ['ours', 'postgres', mark('app')],
  ];
  for (const [name, owner, comment] of comments) {
    await server.query('postgres', `CREATE DATABASE ${name} OWNER ${owner}`);
    await server.query('postgres', `COMMENT ON DATABASE ${name} IS 'lifeboat restore in progress ${comment}'`);
  }
  await bench.restore(['restore', 'latest', '--only', 'database', '--to-database', 'restored']);
  const there = await server.query('postgres', 'SELECT datname::text AS name FROM pg_database ORDER BY 1');
  const names = there.map(({ name }) => name);
  for (const [name] of comments) assert.ok(names.includes(name), name);
  assert.ok(names.includes('restored'));
});

test('a restored database never bears the mark of an unfinished restore', async () => {
  const comment = 'lifeboat restore in progress {}';
  await server.query('postgres', 'CREATE DATABASE marked');
  await server.query('postgres', `COMMENT ON DATABASE marked IS '${comment}'`);
  const env = { DATABASE_URL: server.url('marked') };
  await bench.backup('backup database', { env });
  const result = await bench.run('restore latest --only database --to-url-env OTHER', { env });
  assert.match(result.stderr, /the comment of database "marked" was not restored/);
  const [row] = await other.query(
    'postgres',
    "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = 'marked'",
  );
  assert.deepEqual(row, { comment: null });
});

test('the name of a database is no connection string to pg_amcheck', async () => {
  await server.query('postgres', `CREATE DATABASE "${connectionName}"`);
  const options = { url: parsePostgresUrl(server.url()), database: connectionName, programs: server.binDir, jobs: 1 };
  assert.deepEqual(await amcheck(options, context), { outcome: 'clean' });
});

test('of a role, whose name reads like a password, the name stays and the password goes', async () => {
  const name = `a PASSWORD 'b' c`;
  const attributes = "NOSUPERUSER LOGIN CONNECTION LIMIT 5 PASSWORD 'secret'";
  const sql = `CREATE ROLE "${name}";\nALTER ROLE "${name}" WITH ${attributes};\n`;
  const open = async function* (): AsyncIterable<Uint8Array> {
    yield Buffer.from(sql);
  };
  const facts = {
    serverVersion: '15',
    serverVersionNum: 150000,
    toolVersion: '15',
    globals: { artifact: 'globals.sql', roles: [name], withPasswords: true },
    databases: [],
  };
  const request = { reader: { artifacts: [], open }, facts, targetUrl: parsePostgresUrl(other.url()), drill: true };
  assert.deepEqual((await replayGlobals(request, context)).created, [name]);
  const [row] = await other.query(
    'postgres',
    'SELECT rolname::text, rolpassword, rolconnlimit, rolcanlogin FROM pg_authid WHERE rolconnlimit = 5',
  );
  assert.deepEqual(row, { rolname: name, rolpassword: null, rolconnlimit: '5', rolcanlogin: 't' });
});
