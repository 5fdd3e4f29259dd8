/**
 * A writer that commits one numbered row every few milliseconds beside pgbench, and what a recovered cluster must then
 * hold at a moment: by the order of the commits in the log, which is the order in which a recovery replays them.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTool, startTool } from '../../../src/lib/exec.ts';
import { parsePostgresUrl } from '../../../src/config/postgres-url-parser.ts';
import { createRestorePoint } from '../../../src/operations/pitr/restore-point.ts';
import { type Connection, withConnection } from '../../../src/source/postgres/server/connection.ts';
import { type LoggedEnd, type PitrCluster, quiet } from './pitr-cluster.ts';

export interface Written {
  /** Transaction → number of the row it wrote. */
  readonly rows: ReadonlyMap<string, number>;
  /** Transactions of pgbench. */
  readonly others: ReadonlySet<string>;
  /** All that ended since the base backup, in the order of the log. */
  readonly ends: readonly LoggedEnd[];
  /** Position directly behind the restore point "in between". */
  readonly pointLsn: string;
}

/** Tables for both, and amcheck. */
export async function prepareWriter({ server }: PitrCluster): Promise<void> {
  await runTool({ file: join(server.binDir, 'pgbench'), args: ['-i', '-q', '-s', '2', 'postgres'], env: server.env });
  await server.query(
    'postgres',
    'CREATE EXTENSION amcheck; CREATE TABLE w (n int PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())',
  );
}

/** Writes for so long, with a restore point named "in between" in the middle, and archives all of it. */
export async function writeFor(cluster: PitrCluster, seconds: number): Promise<Written> {
  const { server } = cluster;
  const [from] = await server.query('postgres', 'SELECT pg_current_wal_insert_lsn() AS lsn');
  const bench = await startTool({
    file: join(server.binDir, 'pgbench'),
    args: ['-n', '-c', '3', '-R', '250', '-T', String(seconds), 'postgres'],
    env: server.env,
  });
  const rows = new Map<string, number>();
  let pointLsn = '';
  await withConnection(parsePostgresUrl(server.url()), {}, async (connection) => {
    const started = performance.now();
    for (let n = 1; performance.now() - started < seconds * 1000; n++) {
      const [row] = await connection.query(
        `INSERT INTO public.w VALUES (${n}) RETURNING pg_current_xact_id()::text AS xid`,
      );
      rows.set(row?.['xid'] ?? '', n);
      // What is taken back must never be seen.
      if (n % 50 === 0) {
        await connection.query(`BEGIN; INSERT INTO public.w VALUES (-${n}); SELECT pg_current_xact_id(); ROLLBACK`);
      }
      if (n % 400 === 0) await connection.query('SELECT pg_switch_wal()');
      if (pointLsn === '' && performance.now() - started > seconds * 500) {
        pointLsn = (await createRestorePoint(cluster.loaded, { name: 'in between' }, quiet)).lsn;
      }
      await sleep(3 * Math.random());
    }
  });
  await bench.result;
  await cluster.archived();
  const others = new Set(
    (await server.query('postgres', 'SELECT xmin::text AS xid FROM pgbench_history')).map(({ xid }) => xid ?? ''),
  );
  return { rows, others, ends: await cluster.ends(from?.['lsn'] ?? ''), pointLsn };
}

export interface Expected {
  readonly rows: readonly number[];
  readonly history: number;
}

/** What is there when a recovery stops before the first end for which `stops` holds. */
export function expectedBefore({ ends, rows, others }: Written, stops: (end: LoggedEnd) => boolean): Expected {
  const at = ends.findIndex(stops);
  const done = ends.slice(0, at === -1 ? ends.length : at).filter(({ isCommit }) => isCommit);
  return {
    rows: done.flatMap(({ xid }) => rows.get(xid) ?? []),
    history: done.filter(({ xid }) => others.has(xid)).length,
  };
}

/** Fails unless the cluster holds just that, its books balance, and pg_amcheck finds nothing. */
export async function assertState(
  cluster: PitrCluster,
  connection: Connection,
  env: Readonly<Record<string, string>>,
  expected: Expected,
): Promise<void> {
  const rows = (await connection.query('SELECT n FROM public.w ORDER BY n')).map(({ n }) => Number(n));
  assert.deepEqual([rows.length, rows.at(-1)], [expected.rows.length, expected.rows.at(-1)]);
  assert.deepEqual(rows, expected.rows);
  const [books] = await connection.query(`
    SELECT (SELECT count(*) FROM public.pgbench_history) AS history,
      (SELECT sum(abalance) FROM public.pgbench_accounts) AS a,
      (SELECT sum(bbalance) FROM public.pgbench_branches) AS b,
      (SELECT sum(tbalance) FROM public.pgbench_tellers) AS t,
      (SELECT coalesce(sum(delta), 0) FROM public.pgbench_history) AS h`);
  const { history, a, b, t, h } = books ?? {};
  assert.equal(Number(history), expected.history);
  assert.deepEqual([a, b, t], [h, h, h]);
  const checked = await runTool({
    file: join(cluster.server.binDir, 'pg_amcheck'),
    args: ['--heapallindexed', '-d', 'postgres'],
    env,
  });
  assert.equal(checked.stdout + checked.stderr, '');
}
