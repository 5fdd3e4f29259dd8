/** A restored database takes the place of a live one whose clients never stop knocking, and gives it back. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AbortedError } from '../../src/lib/errors.ts';
import { ownIdentity } from '../../src/lib/process-identity.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { withMaintenance } from '../../src/source/postgres/server/maintenance.ts';
import { restoredName } from '../../src/source/postgres/restore/names.ts';
import { swapDatabases, undoSwap } from '../../src/source/postgres/restore/swap.ts';
import { freeStampedName } from '../../src/source/postgres/restore/unfinished.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';

let server: TestPostgres;
const context = { signal: new AbortController().signal, emit: () => {} };
const at = new Date('2026-01-02T03:04:05.678Z');

before(async () => {
  server = await startPostgres({
    settings: { max_prepared_transactions: '5', wal_level: 'logical', max_connections: '60' },
  });
  await server.query(
    'postgres',
    'CREATE ROLE owner LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE nobody_special LOGIN CREATEDB',
  );
});

after(async () => {
  await server?.stop();
});

/** A live database and one to take its place; each holds a table that tells which it is. */
async function makePair(live: string, restored: string): Promise<void> {
  for (const [name, content] of [
    [live, 'old'],
    [restored, 'new'],
  ] as const) {
    await server.query('postgres', `CREATE DATABASE "${name}" TEMPLATE template0`);
    await server.query(
      name,
      `CREATE TABLE which AS SELECT '${content}'::text AS content; CREATE TABLE log (n serial, worker int)`,
    );
  }
  await server.query('postgres', `ALTER DATABASE "${live}" OWNER TO owner`);
  await server.query('postgres', `ALTER DATABASE "${live}" SET search_path = "$user", public, "odd, one"`);
  await server.query(
    'postgres',
    `ALTER DATABASE "${live}" SET app.name = 'it''s'; ALTER ROLE reader IN DATABASE "${live}" SET work_mem = ` +
      `'5MB'; COMMENT ON DATABASE "${live}" IS 'the "live" one'; REVOKE ALL ON DATABASE "${live}" FROM PUBLIC; ` +
      `GRANT CONNECT ON DATABASE "${live}" TO reader WITH GRANT OPTION; ALTER DATABASE "${live}" CONNECTION LIMIT 33`,
  );
}

async function describeDatabase(name: string): Promise<unknown> {
  return server.query(
    'postgres',
    `SELECT pg_get_userbyid(datdba) AS owner, datconnlimit AS lim, datallowconn AS open,
      shobj_description(oid, 'pg_database') AS comment,
      (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(datacl) x) AS acl,
      (SELECT string_agg(coalesce(setrole::regrole::text, '') || setconfig::text, ' ' ORDER BY setrole)
        FROM pg_db_role_setting WHERE setdatabase = d.oid) AS settings
    FROM pg_database d WHERE datname = '${name}'`,
  );
}

const which = async (name: string): Promise<string | null | undefined> =>
  (await server.query(name, 'SELECT content FROM public.which'))[0]?.['content'];

/** Clients that connect, write, stay a moment in a transaction, and connect again as soon as they are thrown out. */
function startClients(database: string, count: number): { stop(): Promise<{ writes: number }> } {
  let running = true;
  let writes = 0;
  const client = async (worker: number): Promise<void> => {
    while (running) {
      try {
        await server.query(
          database,
          `BEGIN; INSERT INTO public.log (worker) VALUES (${worker}); SELECT pg_sleep(0.03); COMMIT`,
        );
        writes++;
      } catch {
        // Thrown out, or the name is between two databases: a client tries again.
        await sleep(5);
      }
    }
  };
  const all = Promise.all(Array.from({ length: count }, (_, i) => client(i)));
  return {
    stop: async () => {
      running = false;
      await all;
      return { writes };
    },
  };
}

test('swap and undo while clients reconnect without pause', async () => {
  await makePair('app', 'app restored');
  const original = await describeDatabase('app');
  const clients = startClients('app', 12);
  await sleep(300);
  const swap = await swapDatabases(
    { url: parsePostgresUrl(server.url('app')), live: 'app', restored: 'app restored', at },
    context,
  );
  assert.equal(swap.keptAs, 'app_before_20260102T030405');
  assert.ok(swap.endedSessions > 0);
  await sleep(300);
  const { writes } = await clients.stop();
  assert.ok(writes > 0);
  assert.equal(await which('app'), 'new');
  assert.equal(await which(swap.keptAs), 'old');
  assert.deepEqual(await describeDatabase('app'), original);
  const counts = await Promise.all(
    ['app', swap.keptAs].map(async (name) =>
      Number((await server.query(name, 'SELECT count(*) AS n FROM public.log'))[0]?.['n']),
    ),
  );
  // Every write that was acknowledged is in one of the two; one whose COMMIT was on its way may be too.
  assert.ok((counts[0] ?? 0) > 0 && (counts[1] ?? 0) > 0 && (counts[0] ?? 0) + (counts[1] ?? 0) >= writes);
  const again = startClients('app', 12);
  await sleep(100);
  const undo = await undoSwap(
    { url: parsePostgresUrl(server.url()), live: 'app', keptAs: swap.keptAs, at: new Date('2026-01-02T04:00:00Z') },
    context,
  );
  await again.stop();
  assert.equal(undo.keptAs, 'app_undone_20260102T040000');
  assert.equal(await which('app'), 'old');
  assert.equal(await which(undo.keptAs), 'new');
  assert.deepEqual(await describeDatabase('app'), original);
});

test('the SQL that it gives takes the swap back', async () => {
  await makePair('sqlundo', 'sqlundo_restored');
  const { undoSql } = await swapDatabases(
    { url: parsePostgresUrl(server.url()), live: 'sqlundo', restored: 'sqlundo_restored', at },
    context,
  );
  await server.psql('postgres', undoSql.join('\n'));
  assert.equal(await which('sqlundo'), 'old');
});

test('two swaps in one second keep both old databases; names that a running restore will take are taken', async () => {
  await makePair('twice', 'twice_one');
  await makePair('other', 'twice_two');
  const swap = async (restored: string): Promise<string> =>
    (await swapDatabases({ url: parsePostgresUrl(server.url()), live: 'twice', restored, at }, context)).keptAs;
  assert.deepEqual(
    [await swap('twice_one'), await swap('twice_two')],
    ['twice_before_20260102T030405', 'twice_before_20260102T030406'],
  );
  assert.deepEqual(
    await Promise.all(['twice', 'twice_before_20260102T030406', 'twice_before_20260102T030405'].map(which)),
    ['new', 'new', 'old'],
  );

  await server.query('postgres', 'CREATE DATABASE "twice_restored_20260102T030405"');
  await server.query('postgres', 'CREATE DATABASE twice_restoring_0123abcd');
  const mark = JSON.stringify({ target: 'twice_restored_20260102T030406', by: ownIdentity(), since: at.toISOString() });
  await server.query(
    'postgres',
    `COMMENT ON DATABASE twice_restoring_0123abcd IS 'lifeboat restore in progress ${mark}'`,
  );
  const free = await withMaintenance({ url: parsePostgresUrl(server.url()), except: [] }, (client) =>
    freeStampedName(client, (when) => restoredName('twice', when), at),
  );
  assert.equal(free, 'twice_restored_20260102T030407');
});

test('a long name of characters of several bytes is shortened', async () => {
  const live = 'ö'.repeat(31);
  await makePair(live, 'long_restored');
  const { keptAs } = await swapDatabases(
    { url: parsePostgresUrl(server.url()), live, restored: 'long_restored', at },
    context,
  );
  assert.equal(keptAs, `${'ö'.repeat(20)}_before_20260102T030405`);
  assert.equal(await which(keptAs), 'old');
  assert.equal(await which(live), 'new');
});

test('what hangs on the live database is found before anything is touched', async () => {
  await makePair('bound', 'bound_restored');
  const swap = (): Promise<unknown> =>
    swapDatabases({ url: parsePostgresUrl(server.url()), live: 'bound', restored: 'bound_restored', at }, context);
  await server.query('bound', `SELECT pg_create_logical_replication_slot('slot1', 'pgoutput')`);
  await assert.rejects(swap(), { code: 'source', message: /replication slots \(slot1\)/ });
  await server.query('bound', `SELECT pg_drop_replication_slot('slot1')`);
  await server.query('bound', `BEGIN; INSERT INTO log (worker) VALUES (1); PREPARE TRANSACTION 'two phase'`);
  await assert.rejects(swap(), { code: 'source', message: /prepared transactions \(two phase\)/ });
  await server.query('bound', `ROLLBACK PREPARED 'two phase'`);
  await assert.rejects(
    swapDatabases({ url: parsePostgresUrl(server.url()), live: 'bound', restored: 'absent', at }, context),
    { code: 'not_found' },
  );
  assert.equal(await which('bound'), 'old');
  await swap();
  assert.equal(await which('bound'), 'new');
});

test('without the rights, and when aborted, nothing is changed and clients go on', async () => {
  await makePair('guarded', 'guarded_restored');
  const original = await describeDatabase('guarded');
  await assert.rejects(
    swapDatabases(
      {
        url: parsePostgresUrl(server.url('postgres', 'nobody_special')),
        live: 'guarded',
        restored: 'guarded_restored',
        at,
      },
      context,
    ),
    { code: 'source', state: 'nothing was changed' },
  );
  const abort = new AbortController();
  const clients = startClients('guarded', 4);
  await sleep(100);
  const swap = swapDatabases(
    { url: parsePostgresUrl(server.url()), live: 'guarded', restored: 'guarded_restored', at },
    { ...context, signal: abort.signal },
  );
  abort.abort(new AbortedError('SIGINT'));
  await assert.rejects(swap);
  await clients.stop();
  assert.equal(await which('guarded'), 'old');
  assert.equal(await which('guarded_restored'), 'new');
  assert.deepEqual(await describeDatabase('guarded'), original);
});

test('the server dies within the swap: after its start the old one is live and open', async () => {
  await makePair('crash', 'crash_restored');
  await server.query('postgres', 'CHECKPOINT');
  const original = await describeDatabase('crash');
  const clients = startClients('crash', 2);
  await sleep(100);
  const swap = swapDatabases(
    { url: parsePostgresUrl(server.url()), live: 'crash', restored: 'crash_restored', at },
    context,
  ).then(
    () => 'swapped',
    () => 'failed',
  );
  await sleep(30);
  await server.kill();
  const outcome = await swap;
  await clients.stop();
  await server.start();
  assert.equal(await which('crash'), outcome === 'swapped' ? 'new' : 'old');
  if (outcome === 'failed') assert.deepEqual(await describeDatabase('crash'), original);
});
