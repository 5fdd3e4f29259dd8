/** Dumps that fail: the right error, and neither programs nor sessions left. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../src/lib/errors.ts';
import type { LifeboatEvent } from '../../src/lib/events.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { postgresSource } from '../../src/source/postgres/dump/source.ts';
import type { Artifact, Source, ToolProcess } from '../../src/source/source.ts';
import { collectArtifacts } from '../helpers/source/collect-artifacts.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';

let server: TestPostgres;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lbfault-'));
  server = await startPostgres();
  await server.psql('postgres', 'CREATE DATABASE app');
  await server.psql(
    'app',
    "CREATE TABLE t AS SELECT g AS id, repeat('text of row ' || g, 20) AS v FROM generate_series(1, 20000) g; " +
      'CREATE TABLE small (id int)',
  );
});

after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('a dump fails with exit code 13 and leaves nothing', () => {
  test('when pg_dump is killed', async () => {
    await withStuckBody(source(), async (body) => {
      process.kill(body.pid, 'SIGKILL');
      await assert.rejects(body.done, /cannot dump data.dump of database app: pg_dump was killed by SIGKILL/);
      await assert.rejects(body.source.facts(), isSourceError(/pg_dump was killed/));
    });
    await assertNothingLeft();
  });

  test('when the session that holds the snapshot is ended, even if each pg_dump ended well', async () => {
    const failing = collectArtifacts(source(), folder, {
      before: async ({ name }) => {
        if (name !== 'schema.dump') return;
        // Not the sessions that count rows: the holder is the one that exported the snapshot.
        await server.query(
          'postgres',
          'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ' +
            "application_name LIKE 'lifeboat%' AND datname = 'app'",
        );
        await sleep(100);
      },
    });
    await assert.rejects(failing, isSourceError(/lost the connection to PostgreSQL/));
    await assertNothingLeft();
  });

  test('when the consumer leaves early', async () => {
    const events: LifeboatEvent[] = [];
    for await (const artifact of source().dump({
      signal: new AbortController().signal,
      emit: (event) => events.push(event),
    })) {
      if (artifact.name === 'data.dump') break;
    }
    assert.deepEqual(
      events.map(({ type }) => type),
      ['snapshot', 'snapshot-end'],
    );
    await assertNothingLeft();
  });

  test('when the run is aborted', async () => {
    const stop = new AbortController();
    const reason = new LifeboatError('space', 'too big');
    await withStuckBody(
      source(),
      async (body) => {
        stop.abort(reason);
        await assert.rejects(body.done, reason);
        await assert.rejects(body.source.facts(), reason);
      },
      stop.signal,
    );
    await assertNothingLeft();
  });

  test('when a table stays locked', async () => {
    const locker = lockTable('app', 'small', 3);
    await sleep(300);
    const failing = collectArtifacts(source({ lockWaitTimeoutMs: 200 }), folder);
    await assert.rejects(
      failing,
      (error: unknown) =>
        isSourceError(/cannot lock the tables of .*lock timeout/)(error) &&
        /another session holds/.test((error as LifeboatError).hint ?? ''),
    );
    await locker;
    await assertNothingLeft();
  });

  test('when a table may not be read, or only in part', async () => {
    await server.psql(
      'app',
      'CREATE ROLE weak LOGIN; GRANT pg_read_all_data TO weak; CREATE TABLE secret (id int); ALTER TABLE secret ' +
        'ENABLE ROW LEVEL SECURITY; SELECT lo_create(4711)',
    );
    const weak = postgresSource({ ...options, url: parsePostgresUrl(server.url('app', 'weak')) });
    const { problems } = await weak.probe({ signal: new AbortController().signal, emit: () => {} });
    assert.deepEqual(
      problems.map(({ message, fatal }) => `${fatal} ${message}`),
      [
        'true database app: row-level security hides rows of these tables: public.secret',
        'true database app: no right to read these large objects: 4711',
      ],
    );
    await assert.rejects(
      collectArtifacts(weak, folder),
      (error: unknown) =>
        isSourceError(/row-level security/)(error) && /BYPASSRLS/.test((error as LifeboatError).hint ?? ''),
    );
    await server.psql('app', 'SELECT lo_unlink(4711); DROP TABLE secret; REVOKE pg_read_all_data FROM weak');
    await assert.rejects(collectArtifacts(weak, folder), isSourceError(/permission denied for table/));
    await assertNothingLeft();
  });
});

test('a user who is no superuser gets all but the passwords', async () => {
  await server.psql('app', 'CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader');
  const reader = postgresSource({ ...options, url: parsePostgresUrl(server.url('app', 'reader')) });
  const { problems } = await reader.probe({ signal: new AbortController().signal, emit: () => {} });
  assert.deepEqual(
    problems.map(({ message, fatal }) => `${fatal} ${message}`),
    ['false role passwords cannot be read, so roles are backed up without them'],
  );
  const { facts } = await collectArtifacts(reader, folder);
  assert.equal((facts.facts as { globals: { withPasswords: boolean } }).globals.withPasswords, false);
  assert.match(readFileSync(join(folder, 'globals.sql'), 'utf8'), /CREATE ROLE reader/);
});

test('time-outs of the role do not end a slow dump, and nobody truncates its tables meanwhile', async () => {
  await server.psql(
    'app',
    "ALTER ROLE postgres SET statement_timeout = '150ms'; ALTER ROLE postgres SET " +
      "idle_in_transaction_session_timeout = '150ms'; ALTER ROLE postgres SET lock_timeout = '100ms'",
  );
  try {
    await collectArtifacts(source(), folder, {
      before: async ({ name }) => {
        if (name === 'schema.dump') await sleep(700);
        if (name === 'data.dump') {
          await assert.rejects(server.query('app', 'TRUNCATE small'), /lock timeout|statement timeout/);
        }
      },
    });
  } finally {
    await server.psql('app', 'ALTER ROLE postgres RESET ALL');
  }
});

test('a server that dies ends the dump with exit code 13', async () => {
  const own = await startPostgres();
  try {
    await own.psql(
      'postgres',
      "CREATE TABLE t AS SELECT g AS id, repeat('text of row ' || g, 20) AS v FROM generate_series(1, 20000) g",
    );
    await withStuckBody(
      postgresSource({ ...options, url: parsePostgresUrl(own.url()), databases: ['postgres'] }),
      async (body) => {
        await own.kill();
        await assert.rejects(body.done, isSourceError(/lost the connection|pg_dump/));
        await assert.rejects(body.source.facts(), isSourceError(/lost the connection|pg_dump/));
      },
    );
    await assert.rejects(
      collectArtifacts(postgresSource({ ...options, url: parsePostgresUrl(own.url()) }), folder),
      isSourceError(/cannot connect/),
    );
  } finally {
    await own.stop();
  }
});

const options = { databases: ['app'], jobs: 1, bigTableBytes: 1e9, lockWaitTimeoutMs: 5000 };

function source(more: { lockWaitTimeoutMs?: number } = {}): Source {
  return postgresSource({ ...options, url: parsePostgresUrl(server.url('app')), ...more });
}

interface StuckBody extends ToolProcess {
  readonly pid: number;
  readonly source: Source;
}

/** All artifacts are asked for; of data.dump the program runs, stuck on a pipe that nobody reads. */
async function withStuckBody(
  from: Source,
  work: (body: StuckBody) => Promise<void>,
  signal = new AbortController().signal,
): Promise<void> {
  const artifacts: Artifact[] = [];
  for await (const artifact of from.dump({ signal, emit: () => {} })) artifacts.push(artifact);
  const data = artifacts.find(({ name }) => name === 'data.dump');
  assert.ok(data?.body.from === 'pipe');
  const pipe = data.body.open(signal);
  try {
    const pid = pgDumpPids().find((each) => !readFileSync(`/proc/${each}/cmdline`, 'utf8').includes('=pre-data'));
    assert.ok(pid !== undefined);
    await work({ done: pipe.done, pid, source: from });
  } finally {
    pipe.release(new Uint8Array(0));
  }
}

/** Children of this process that are pg_dump. */
function pgDumpPids(): number[] {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean);
  return children.filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'pg_dump').map(Number);
}

async function assertNothingLeft(): Promise<void> {
  assert.deepEqual(pgDumpPids(), []);
  const sql = "SELECT application_name, query FROM pg_stat_activity WHERE datname = 'app'";
  // The server notices a closed socket a moment later.
  for (let tries = 0; tries < 50 && (await server.query('postgres', sql)).length > 0; tries++) await sleep(100);
  assert.deepEqual(await server.query('postgres', sql), []);
}

async function lockTable(database: string, table: string, seconds: number): Promise<void> {
  await server.query(database, `BEGIN; LOCK TABLE ${table}; SELECT pg_sleep(${seconds}); COMMIT`);
}

function isSourceError(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof LifeboatError, String(error));
    assert.equal(error.exitCode, 13);
    assert.match(error.message, message);
    return true;
  };
}
