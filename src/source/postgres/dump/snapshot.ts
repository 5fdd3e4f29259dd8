/**
 * A session that holds an exported snapshot of one database, and ACCESS SHARE locks on all that a dump
 * reads. The locks come before the snapshot: a table that were dropped, rewritten or truncated between
 * the snapshot and the start of some pg_dump would be missing or empty in it, without an error.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { type Connection, openConnection } from '../server/connection.ts';
import { sqlStateOf } from '../server/connection-errors.ts';
import { pinSettings } from '../facts/pinned-settings.ts';
import { lockStatements } from '../server/lock-sql.ts';
import { assertHoldsSession } from '../server/pooler.ts';
import { isSpeakable, quoteLiteral, quoteQualified } from '../server/quote.ts';

export interface Snapshot {
  readonly name: string;
  /** Where the WAL stood; absent where it cannot be told. */
  readonly lsn: string | undefined;
  /** RFC 3339, UTC, by the server's clock. */
  readonly takenAt: string;
  /** The session itself: its queries see the snapshot. */
  readonly connection: Connection;
}

export interface SnapshotOptions {
  readonly database: string;
  readonly lockWaitTimeoutMs: number;
  /** What the session is called; default: lifeboat. */
  readonly applicationName?: string;
  readonly signal: AbortSignal;
}

/** Takes and holds a snapshot until `connection` is closed. Throws `source` (13). */
export async function holdSnapshot(url: PostgresUrl, options: SnapshotOptions): Promise<Snapshot> {
  const connection = await openConnection(url, options);
  try {
    await assertHoldsSession(url, connection, options.signal);
    if (options.applicationName !== undefined) await nameSession(connection, options.applicationName);
    await pinSettings(connection);
    await connection.query(`SET lock_timeout = ${Math.max(1, Math.round(options.lockWaitTimeoutMs))}`);
    for (let attempt = 1; ; attempt++) {
      const snapshot = await tryToHold(connection).catch((error: unknown) => {
        // A table was dropped or renamed between being listed and being locked.
        if (attempt < 10 && ['42P01', '3F000'].includes(sqlStateOf(error) ?? '')) return undefined;
        throw error;
      });
      if (snapshot !== undefined) return snapshot;
      await connection.query('ROLLBACK');
    }
  } catch (error) {
    await connection.close();
    throw error;
  }
}

async function tryToHold(connection: Connection): Promise<Snapshot> {
  const known = await listLockable(connection);
  await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await lockTables(connection, known);
  // The first query takes the snapshot that all else sees.
  const rows = await connection.query(
    `SELECT pg_export_snapshot() AS name,
       to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS taken_at,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn`,
  );
  const before = new Set(known);
  await lockTables(
    connection,
    (await listLockable(connection)).filter((each) => !before.has(each)),
  );
  return {
    name: rows[0]?.['name'] ?? '',
    lsn: rows[0]?.['lsn'] ?? undefined,
    takenAt: rows[0]?.['taken_at'] ?? '',
    connection,
  };
}

/** As pg_stat_activity shows it. */
export async function nameSession(connection: Connection, applicationName: string): Promise<void> {
  await connection.query(`SET application_name = ${quoteLiteral(applicationName)}`);
}

/** Takes ACCESS SHARE on tables, but not on their children; `tables`: quoted names. Throws `source` (13). */
export async function lockTables(connection: Connection, tables: readonly string[]): Promise<void> {
  for (const statement of lockStatements(tables)) {
    await connection.query(statement).catch((error: unknown) => {
      throw withHint(error, connection);
    });
  }
}

/** Quoted names of the tables that pg_dump would lock. */
async function listLockable(connection: Connection): Promise<string[]> {
  const rows = await connection.query(`
    SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.oid`);
  // The others are locked by pg_dump itself.
  return rows.map((row) => quoteQualified(row['schema'] ?? '', row['name'] ?? '')).filter((name) => isSpeakable(name));
}

function withHint(error: unknown, connection: Connection): unknown {
  if (sqlStateOf(error) !== '55P03' || !(error instanceof LifeboatError)) return error;
  return new LifeboatError('source', `cannot lock the tables of ${connection.server} for reading: ${error.message}`, {
    hint: error.hint,
    retryable: true,
    cause: error.cause,
  });
}
