/** Sessions on real servers: what each refusal is called, what a session is set to, when it is lost. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import { runTool } from '../../src/lib/exec.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { openConnection, withConnection } from '../../src/source/postgres/server/connection.ts';
import { sqlStateOf } from '../../src/source/postgres/server/connection-errors.ts';
import { quoteIdentifier, quoteLiteral } from '../../src/source/postgres/server/quote.ts';
import { findTools, installedTools } from '../../src/source/postgres/server/tools.ts';
import { libpqEnvironment } from '../../src/source/postgres/server/libpq.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';

const password = 'p@ss:w/ö %';
let server: TestPostgres;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lbconn-'));
  server = await startPostgres({ port: 0, password });
});

after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('each refusal is a source error (13) with a hint of its own, and never shows the password', async () => {
  const port = String(server.port);
  const cases: readonly (readonly [url: string, message: RegExp, hint: RegExp])[] = [
    [server.url('postgres', 'postgres', 'wrong hidden'), /password authentication failed/, /user and password/],
    [server.url('nope'), /database "nope" does not exist/, /psql -l/],
    [server.url().replace(port, '1'), /ECONNREFUSED/, /is the server running/],
    [`postgres://postgres@127.0.0.1:${port}/postgres`, /password/, /the server wants a password/],
    ['postgres://postgres@%2Fno%2Fsuch/postgres', /ENOENT/, /no server listens on that socket/],
    ['postgres://postgres@no-such-host.invalid/postgres', /ENOTFOUND|EAI_AGAIN/, /host name|name server/],
    [`${server.url()}?sslmode=require`, /does not support SSL/, /sslmode=disable/],
  ];
  for (const [url, message, hint] of cases) {
    await assert.rejects(openConnection(parsePostgresUrl(url)), (error: unknown) => {
      assert.ok(error instanceof LifeboatError);
      assert.deepEqual(
        [error.exitCode, message.test(error.message), hint.test(error.hint ?? '')],
        [13, true, true],
        `${error.message} | ${error.hint}`,
      );
      assert.ok(!`${error.message}${error.hint}`.includes('hidden') && !error.message.includes(password));
      return true;
    });
  }
});

test('a user without an entry in pg_hba.conf is told so', async () => {
  writeFileSync(join(server.dataDir, 'pg_hba.conf'), 'local all all trust\nhost all postgres all scram-sha-256\n');
  await server.query('postgres', "CREATE ROLE unlisted LOGIN PASSWORD 'x'; SELECT pg_reload_conf()");
  await assert.rejects(openConnection(parsePostgresUrl(server.url('postgres', 'unlisted', 'x'))), (error: unknown) => {
    assert.ok(error instanceof LifeboatError);
    assert.match(error.message, /no pg_hba\.conf entry/);
    assert.match(error.hint ?? '', /pg_hba\.conf/);
    return true;
  });
});

test('values come as text, by password or password file, with all time-outs off', async () => {
  const passfile = join(folder, 'pgpass');
  writeFileSync(passfile, `127.0.0.1:*:*:postgres:${password.replaceAll(':', '\\:')}\n`, { mode: 0o600 });
  await server.psql(
    'postgres',
    "ALTER ROLE postgres SET statement_timeout = '1s'; ALTER ROLE postgres SET lock_timeout = '1s'; ALTER ROLE " +
      "postgres SET idle_in_transaction_session_timeout = '1s'; ALTER ROLE postgres SET idle_session_timeout = '1s'",
  );
  const url = `postgres://postgres@127.0.0.1:${server.port}/postgres?passfile=${encodeURIComponent(passfile)}`;
  const settings = await withConnection(parsePostgresUrl(url), {}, async (connection) => {
    assert.deepEqual(await connection.query('SELECT 1 AS n, true AS yes, NULL AS nothing, $1::text AS ö', ['ü']), [
      { n: '1', yes: 't', nothing: null, ö: 'ü' },
    ]);
    assert.deepEqual([connection.serverVersionNum >= 130000, connection.encoding], [true, 'UTF8']);
    return connection.query(
      "SELECT setting FROM pg_settings WHERE name ~ '^(statement_timeout|lock_timeout|idle_.*_timeout)$'",
    );
  });
  assert.deepEqual(
    settings.map(({ setting }) => setting),
    ['0', '0', '0', '0'],
  );
  // libpq's programs read the same URL alike.
  const psql = await runTool({
    file: join(server.binDir, 'psql'),
    args: ['-XAtc', 'SELECT current_user'],
    env: libpqEnvironment(parsePostgresUrl(url)),
  });
  assert.equal(psql.stdout, 'postgres\n');
});

test('quoted names and strings mean themselves to the server', async () => {
  await withConnection(parsePostgresUrl(server.url()), {}, async (connection) => {
    for (const text of ['a"b', "it's", '\\', "\\'", 'E', ' ', 'ü\n\t', '$1', '%', '"";--']) {
      const literal = quoteLiteral(text);
      assert.deepEqual(await connection.query(`SELECT ${literal} AS ${quoteIdentifier(text)}`), [{ [text]: text }]);
      await connection.query('SET standard_conforming_strings = off; SET escape_string_warning = off');
      assert.deepEqual(await connection.query(`SELECT ${literal} AS v`), [{ v: text }]);
      await connection.query('RESET standard_conforming_strings');
    }
  });
});

test('a session that is ended from outside says so, and refuses queries; a closed one does not', async () => {
  const connection = await openConnection(parsePostgresUrl(server.url()));
  const pid = connection.announcedPid;
  await server.query('postgres', `SELECT pg_terminate_backend(${pid})`);
  if (!connection.lost.aborted) {
    await new Promise((resolve) => connection.lost.addEventListener('abort', resolve, { once: true }));
  }
  assert.ok(connection.lost.reason instanceof LifeboatError && connection.lost.reason.exitCode === 13);
  await assert.rejects(connection.query('SELECT 1'), connection.lost.reason);
  await connection.close();
  const closed = await openConnection(parsePostgresUrl(server.url()));
  await closed.close();
  assert.equal(closed.lost.aborted, false);
});

test('an abort ends a running query at the server too', async () => {
  const stop = new AbortController();
  const connection = await openConnection(parsePostgresUrl(server.url()), { signal: stop.signal });
  const query = connection.query('SELECT pg_sleep(60)');
  setTimeout(() => stop.abort(new LifeboatError('space', 'enough')), 100);
  await assert.rejects(query);
  const running = (): Promise<unknown[]> =>
    server.query('postgres', `SELECT 1 FROM pg_stat_activity WHERE pid = ${connection.announcedPid}`);
  for (let tries = 0; tries < 60 && (await running()).length > 0; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.deepEqual(await running(), []);
  await assert.rejects(openConnection(parsePostgresUrl(server.url()), { signal: stop.signal }), /enough/);
});

test('an error of the server keeps its SQLSTATE', async () => {
  await withConnection(parsePostgresUrl(server.url()), {}, async (connection) => {
    const state = await connection.query('SELECT * FROM nowhere').then(() => undefined, sqlStateOf);
    assert.equal(state, '42P01');
  });
});

test("client programs: the server's version, else the oldest newer one, else what to install", async () => {
  const installed = await installedTools();
  const newest = installed.at(-1);
  assert.ok(newest !== undefined);
  assert.equal((await findTools(newest.major)).major, newest.major);
  assert.equal((await findTools(9)).major, installed[0]?.major);
  await assert.rejects(
    findTools(99),
    (error: unknown) =>
      error instanceof LifeboatError && error.exitCode === 16 && /postgresql-client-99/.test(error.hint ?? ''),
  );
  await assert.rejects(
    findTools(15, { folder }),
    (error: unknown) => error instanceof LifeboatError && error.exitCode === 16,
  );
  const { major, pgDump } = await findTools(newest.major, { folder: newest.folder });
  assert.deepEqual([major, pgDump], [newest.major, join(newest.folder, 'pg_dump')]);
});
