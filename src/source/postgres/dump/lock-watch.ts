/**
 * Looks, from a session of its own, whether a backup stands in somebody's way. Our sessions hold ACCESS SHARE locks,
 * so whoever wants to change a table (ALTER TABLE, TRUNCATE, VACUUM FULL, DROP) waits for them, and whoever only wants
 * to read it waits behind. As long as none of ours waits, that is as with any pg_dump. One of ours that waits behind
 * such a waiter waits for ever, and so does the application: then all must be let go.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { randomBytes } from 'node:crypto';
import { LifeboatError, messageOf } from '../../../lib/errors.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { type Connection, type Row, openConnection } from '../server/connection.ts';
import { sqlStateOf } from '../server/connection-errors.ts';
import { statementKind } from './statement-kind.ts';

/** A session that waits for a lock which one of ours holds. */
export interface Waiter {
  readonly pid: string;
  /** Words that a statement begins with, such as ALTER TABLE. */
  readonly kind: string;
}

/** Who is let through. */
export interface Courtesy {
  /** Everybody who waits for one of ours, not only where one of ours waits behind them. */
  readonly everybody: boolean;
  readonly everyMs: number;
}

export interface LockWatch extends AsyncDisposable {
  /** The application_name of the sessions that are looked after. */
  readonly applicationName: string;
  /** Calls back with who must be let through, until `signal` is aborted; once at most. */
  watch(courtesy: () => Courtesy, signal: AbortSignal, onWaiter: (waiter: Waiter) => void): Promise<void>;
  /** Ends all of these sessions: a program's may else go on waiting for its lock when the program is dead. */
  endSessions(): Promise<void>;
}

/** Throws `source` (13). */
export async function openLockWatch(url: PostgresUrl, database: string, signal: AbortSignal): Promise<LockWatch> {
  const connection = await openConnection(url, { database, signal });
  const applicationName = `lifeboat backup ${randomBytes(6).toString('hex')}`;
  return {
    applicationName,
    watch: async (courtesy, until, onWaiter) => {
      for (; !until.aborted; await sleep(courtesy().everyMs, undefined, { signal: until }).catch(() => {})) {
        const waiter = await findWaiter(connection, applicationName, courtesy().everybody).catch((error: unknown) => {
          throw lostWatch(connection, error);
        });
        if (waiter === undefined || until.aborted) continue;
        onWaiter(waiter);
        return;
      }
    },
    endSessions: async () => {
      await connection
        .query(`SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a WHERE ${isOurs('a')}`, [applicationName])
        .catch(() => {});
    },
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

/** Its queries fail with the session only, of which a server may say so itself. */
function lostWatch({ server }: Connection, error: unknown): unknown {
  if (sqlStateOf(error) === undefined) return error;
  return new LifeboatError('source', `lost the connection to PostgreSQL at ${server}: ${messageOf(error)}`, {
    hint: error instanceof LifeboatError ? error.hint : undefined,
    retryable: true,
    cause: error,
  });
}

async function findWaiter(
  connection: Connection,
  applicationName: string,
  everybody: boolean,
): Promise<Waiter | undefined> {
  const waits = (await connection.query(waitsSql, [applicationName])).map(readWait);
  const foreign = waits.filter(({ isOurs, by }) => !isOurs && by.length > 0).map(({ pid }) => pid);
  if (foreign.length === 0 || (!everybody && !waits.some(({ isOurs }) => isOurs))) return undefined;
  const rows = await connection.query(heldSql, [applicationName, `{${foreign.join()}}`]);
  const held = rows.map((row) => ({ pid: row['pid'] ?? '', kind: statementKind(row['query'] ?? '') }));
  if (everybody) return held[0];
  return held.find(({ pid }) => waits.some((wait) => wait.isOurs && leadsTo(wait, pid, waits)));
}

interface Wait {
  readonly pid: string;
  readonly isOurs: boolean;
  /** Process ids of whom it waits for, also of those who only stand before it. */
  readonly by: readonly string[];
}

function readWait(row: Row): Wait {
  return { pid: row['pid'] ?? '', isOurs: row['ours'] === 't', by: (row['by'] ?? '').split(',').filter(Boolean) };
}

/** Whether it waits for that process, or for somebody who does. */
function leadsTo(from: Wait, pid: string, waits: readonly Wait[]): boolean {
  const seen = new Set<string>();
  const open = [...from.by];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next === pid) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    open.push(...(waits.find((wait) => wait.pid === next)?.by ?? []));
  }
  return false;
}

/** Everybody can read a session's name, and take it; a user's sessions are another matter. */
function isOurs(session: string): string {
  return `(${session}.application_name = $1 AND ${session}.usename = session_user)`;
}

/**
 * Who waits for a lock, and for whom. Of another user's session it may not be told that it waits (state is null then):
 * pg_blocking_pids() knows, and costs next to nothing for one that does not.
 */
const waitsSql = `
  SELECT w.pid, w.ours, w.by FROM (
    SELECT a.pid, ${isOurs('a')} AS ours, array_to_string(pg_blocking_pids(a.pid), ',') AS by
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND (a.wait_event_type = 'Lock' OR a.state IS NULL)) w
  WHERE w.by <> ''`;

/** Those of $2 that wait for a table on which one of ours holds a lock, not for a transaction's or snapshot's end. */
const heldSql = `
  SELECT DISTINCT w.pid, a.query
  FROM pg_locks w
    JOIN pg_locks h ON h.database = w.database AND h.relation = w.relation AND h.granted
    JOIN pg_stat_activity o ON o.pid = h.pid AND ${isOurs('o')}
    JOIN pg_stat_activity a ON a.pid = w.pid
  WHERE w.locktype = 'relation' AND NOT w.granted AND w.mode = 'AccessExclusiveLock' AND w.pid = ANY ($2::int[])
  ORDER BY w.pid`;
