/**
 * A dump beside sessions that change tables (ALTER TABLE, TRUNCATE, VACUUM FULL, DROP): at no stage does the
 * application wait for longer than beside plain pg_dump. Stages are held by programs that wait for a file, and what is
 * looked at is the order of events: who gets through before whom.
 */
import assert from 'node:assert/strict';
import { chmodSync, closeSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { startTool } from '../../src/lib/exec.ts';
import { openFifo } from '../../src/lib/fifo.ts';
import { LifeboatError } from '../../src/lib/errors.ts';
import { postgresFacts } from '../../src/source/postgres/facts/facts.ts';
import { postgresSource } from '../../src/source/postgres/dump/source.ts';
import { type Artifact, GaveWayError, type Source } from '../../src/source/source.ts';
import { type Collected, collectArtifacts } from '../helpers/source/collect-artifacts.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';

let server: TestPostgres;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lbddl-'));
  server = await startPostgres();
  await server.psql('postgres', 'CREATE DATABASE app');
});

beforeEach(async () => {
  rmSync(join(folder, 'go'), { force: true });
  const rows = "SELECT g AS id, repeat('text of row ' || g, 20) AS v FROM generate_series(1, 2000) g";
  await server.psql(
    'app',
    `DROP TABLE IF EXISTS big, bigger, small; CREATE TABLE big AS ${rows}; ` +
      'CREATE TABLE bigger AS SELECT b.* FROM big b, (VALUES (1), (2)) twice(n); ' +
      'CREATE TABLE small (id serial PRIMARY KEY); INSERT INTO small DEFAULT VALUES',
  );
});

after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('while a dump takes its locks', () => {
  for (const statement of [
    'ALTER TABLE small ADD COLUMN more int',
    'TRUNCATE big',
    'VACUUM FULL bigger',
    'DROP TABLE small',
  ]) {
    test(`${statement} gets through at once, and the dump is taken after it`, async () => {
      const dumping = collect(source({ toolFolder: slowTools() }));
      await until(async () => existsSync(join(folder, 'started')));
      // The dump holds its first locks, and its programs have still to take theirs.
      await server.query('app', statement);
      await server.query('app', 'SELECT count(*) FROM bigger');
      writeFileSync(join(folder, 'go'), '');
      const { facts } = await dumping;
      const tables = postgresFacts.parse(facts.facts).databases[0]?.tables.map(({ name, rows }) => `${name} ${rows}`);
      assert.deepEqual(tables, [
        statement.startsWith('TRUNCATE') ? 'big 0' : 'big 2000',
        'bigger 4000',
        ...(statement.startsWith('DROP') ? [] : ['small 1']),
      ]);
    });
  }

  test('behind one that waits itself it does not stand in the way, and comes after it', async () => {
    const reader = await openSession('BEGIN; SELECT count(*) FROM small');
    const altering = server.query('app', 'ALTER TABLE small ADD COLUMN more int');
    await until(async () => (await waiting()).length === 1);
    const dumping = collect(source());
    // It has waited and let go: nobody waits for it, whoever else does.
    await until(async () => (await waiting()).some((each) => each.startsWith('lifeboat')));
    await until(async () => !(await waiting()).some((each) => each.startsWith('lifeboat')));
    await server.query('app', 'ALTER TABLE big ADD COLUMN more int');
    await reader.end();
    await altering;
    await dumping;
  });

  test('for as long as it may: then 13, with who waited, but not what they said', async () => {
    const dumping = collect(source({ toolFolder: slowTools(), lockWaitTimeoutMs: 1 }));
    const failing = assert.rejects(dumping, (error) => {
      assert.ok(error instanceof LifeboatError);
      assert.equal(error.exitCode, 13);
      assert.equal(error.retryable, true);
      assert.match(error.message, /process \d+, ALTER TABLE|cannot lock the tables/);
      assert.doesNotMatch(JSON.stringify([error.message, error.hint]), /s3cret/);
      return true;
    });
    await until(async () => existsSync(join(folder, 'started')));
    await server.query('app', "/* s3cret */ ALTER TABLE small ALTER id SET DEFAULT length('s3cret')");
    writeFileSync(join(folder, 'go'), '');
    await failing;
  });
});

describe('once a dump holds its locks', () => {
  test('nothing of it waits any more; who wants to change a table does, as beside plain pg_dump', async () => {
    let altering: Promise<unknown> | undefined;
    let isAltered = false;
    const { names, facts } = await collect(source(), async ({ name }) => {
      if (name === 'globals.sql') return;
      // For the second of them and all after it, too.
      altering ??= server.query('app', 'ALTER TABLE big ADD COLUMN more int').then(() => (isAltered = true));
      await until(async () => (await waiting()).length > 0);
      assert.deepEqual(await waiting(), ['']);
      assert.equal(isAltered, false);
    });
    await altering;
    assert.equal(names.length, 5);
    assert.equal(postgresFacts.parse(facts.facts).databases[0]?.tables[0]?.rows, '2000');
  });

  test('the application reads on as soon as it does beside plain pg_dump', async () => {
    const besides = async (): Promise<string[]> => {
      const events: string[] = [];
      const altering = server.query('app', 'ALTER TABLE big ADD COLUMN more int').then(
        () => events.push('ALTER TABLE got through'),
        () => events.push('ALTER TABLE gave up'),
      );
      await until(async () => (await waiting()).length === 1);
      const reading = server.query('app', 'SELECT count(*) FROM big').then(() => events.push('SELECT got through'));
      await until(async () => (await waiting()).length === 2);
      await server.query('app', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'ALTER%'");
      await Promise.all([altering, reading]);
      // The server has let both go at the same moment.
      return events.sort();
    };
    const seen: string[][] = [];
    await collect(source(), async ({ name }) => void (name.startsWith('data') && seen.push(await besides())));
    const plain = await besidePlain(besides);
    assert.equal(seen.length, 3);
    for (const each of seen) assert.deepEqual(each, plain);
  });

  test('with yieldToDdl everybody gets through, and the dump is void', async () => {
    let isThrough = false;
    const dumping = collect(source({ yieldToDdl: true }), async ({ name }) => {
      if (!name.startsWith('data') || isThrough) return;
      await server.query('app', 'TRUNCATE bigger');
      isThrough = true;
    });
    await assert.rejects(dumping, (error) => {
      assert.ok(error instanceof GaveWayError, String(error));
      assert.match(error.message, /^cannot go on with database app: another session \(process \d+, TRUNCATE\) waited/);
      return true;
    });
    assert.equal(isThrough, true);
    await until(async () => (await server.query('app', ours)).length === 0);
  });
});

describe("sessions that count stand in nobody's way", () => {
  test('tables that may only be copied are held from the start, too', async () => {
    const names = ['big', 'bigger', 'small'];
    await server.psql(
      'app',
      'CREATE ROLE owner; CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader; ' +
        'GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO reader; ' +
        names.map((name) => `ALTER TABLE ${name} OWNER TO owner`).join('; '),
    );
    const dumping = collect(source({ user: 'reader', toolFolder: slowTools('psql') }));
    await until(async () => existsSync(join(folder, 'started')));
    const altering = server.query('app', 'ALTER TABLE small ADD COLUMN more int');
    await until(async () => (await waiting()).length > 0);
    writeFileSync(join(folder, 'go'), '');
    const { facts } = await dumping;
    await altering;
    const { tables } = postgresFacts.parse(facts.facts).databases[0] ?? {};
    assert.deepEqual(
      tables?.map(({ rows, method }) => `${rows} ${method}`),
      ['2000 copy', '4000 copy', '1 copy'],
    );
  });

  test('an index is let go when its table is counted', async () => {
    await collect(source(), async ({ name }) => {
      if (name !== 'schema.dump') return;
      await server.query('app', "SET lock_timeout = '60s'; REINDEX TABLE small");
    });
  });

  test('a session that takes their name is not taken for one of them', async () => {
    await server.psql('app', 'CREATE ROLE other LOGIN; GRANT SELECT ON small TO other');
    await collect(source(), async ({ name }) => {
      if (name !== 'schema.dump') return;
      const [row] = await server.query('app', ours.replace('FROM', 'DISTINCT application_name AS name FROM'));
      const other = await openSession(`SET application_name = '${row?.['name']}'`, 'other');
      const altering = server.query('app', 'ALTER TABLE small ADD COLUMN more int').catch(() => {});
      await until(async () => (await waiting()).length === 1);
      const reading = other.query('BEGIN; LOCK TABLE small IN ACCESS SHARE MODE');
      await until(async () => (await waiting()).length === 2);
      for (let looks = 0; looks < 2; looks++) await untilLookedAt();
      assert.equal((await waiting()).length, 2);
      await server.query('app', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'ALTER%'");
      await Promise.all([altering, reading]);
      await other.end();
    });
  });
});

interface Options {
  readonly user?: string;
  readonly toolFolder?: string;
  readonly lockWaitTimeoutMs?: number;
  readonly yieldToDdl?: boolean;
}

function source({ user, ...options }: Options = {}): Source {
  return postgresSource({
    url: parsePostgresUrl(server.url('app', user)),
    databases: ['app'],
    jobs: 1,
    bigTableBytes: 100_000,
    lockWaitTimeoutMs: 30_000,
    ...options,
  });
}

function collect(from: Source, beforeEachBody?: (artifact: Artifact) => Promise<void>): Promise<Collected> {
  const out = mkdtempSync(join(folder, 'out-'));
  return collectArtifacts(from, out, beforeEachBody === undefined ? {} : { before: beforeEachBody });
}

/**
 * Client programs, one of which says how far it is and waits for the file "go": pg_dump before it does anything, psql
 * before it reads a table.
 */
function slowTools(slow: 'pg_dump' | 'psql' = 'pg_dump'): string {
  const tools = mkdtempSync(join(folder, 'tools-'));
  rmSync(join(folder, 'started'), { force: true });
  for (const name of ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql']) {
    if (name !== slow) symlinkSync(join(server.binDir, name), join(tools, name));
  }
  const program = join(server.binDir, slow);
  const wait = `: > '${folder}/started'; while [ ! -e '${folder}/go' ]; do sleep 0.05; done`;
  const scripts = {
    pg_dump: `${wait}; exec '${program}' "$@"`,
    psql: `while IFS= read -r line; do
        case $line in "COPY "*public*) ${wait} ;; esac
        printf '%s\\n' "$line"
      done | '${program}' "$@"`,
  };
  writeFileSync(join(tools, slow), `#!/bin/sh\n[ "$1" = --version ] && exec '${program}' "$@"\n${scripts[slow]}\n`);
  chmodSync(join(tools, slow), 0o755);
  return tools;
}

/** The same beside a pg_dump that has begun to write, and nobody reads. */
async function besidePlain(besides: () => Promise<string[]>): Promise<string[]> {
  const env = { ...server.env, PGDATABASE: 'app' };
  const { readFd, writeFd } = await openFifo();
  const dump = await startTool({ file: join(server.binDir, 'pg_dump'), args: [], env, stdout: writeFd });
  closeSync(writeFd);
  const locks =
    "SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE application_name = 'pg_dump' AND granted " +
    "AND relation = 'big'::regclass";
  await until(async () => (await server.query('app', locks)).length > 0);
  const events = await besides();
  dump.kill('SIGTERM');
  await dump.result.catch(() => {});
  closeSync(readFd);
  return events;
}

/** Names of the sessions that wait for a lock. */
async function waiting(): Promise<string[]> {
  const rows = await server.query(
    'app',
    "SELECT application_name AS name FROM pg_stat_activity WHERE datname = 'app' AND wait_event_type = 'Lock'",
  );
  return rows.map(({ name }) => name ?? '');
}

const ours = "SELECT FROM pg_stat_activity WHERE datname = 'app' AND application_name LIKE 'lifeboat backup%'";

/** The session that looks who waits has looked once more. */
async function untilLookedAt(): Promise<void> {
  const sql =
    "SELECT max(query_start) AS at FROM pg_stat_activity WHERE datname = 'app' AND application_name = 'lifeboat'";
  const lookedAt = async (): Promise<unknown> => (await server.query('app', sql))[0]?.['at'];
  const before = await lookedAt();
  await until(async () => (await lookedAt()) !== before);
}

interface Session {
  query(sql: string): Promise<unknown>;
  end(): Promise<void>;
}

async function openSession(sql: string, user = 'postgres'): Promise<Session> {
  const { Client } = (await import('pg')).default;
  const client = new Client({ host: server.socketDir, port: server.port, user, database: 'app' });
  await client.connect();
  await client.query(sql);
  return client;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) {
    assert.ok(tries < 600, 'it does not come about');
    await sleep(50);
  }
}
