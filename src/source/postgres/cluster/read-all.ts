/** Reads every table of a recovered server: what cannot be read shows here, not on the day when it is needed. */
import { join } from 'node:path';
import type { RunContext } from '../../../lib/events.ts';
import { runTool } from '../../../lib/exec.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { type Connection, withConnection } from '../server/connection.ts';
import { libpqEnvironment } from '../server/libpq.ts';
import { isWhole } from '../server/databases.ts';

const dumpOptions = [
  '--format=custom',
  '--compress=0',
  '--no-password',
  '--no-unlogged-table-data',
  '--lock-wait-timeout=60000',
];

/**
 * Reads all rows of all tables by the pg_dump in the folder `programs`; names of the databases. Tables that a server
 * which is held at its target has locked are told in a warning. Throws LifeboatError `source`.
 */
export async function readAllTables(
  url: PostgresUrl,
  programs: string,
  { signal, emit }: RunContext,
): Promise<string[]> {
  const names = await databasesOf(url, { signal, emit });
  for (const database of names) {
    emit({ type: 'step', component: 'base', message: `reading every table of database ${database}` });
    const locked = await lockedTables(url, database, signal);
    if (locked.length > 0) {
      emit({ type: 'warning', component: 'base', message: notRead(database, locked) });
    }
    const excluded = locked.map((name) => `--exclude-table=${name}`);
    await runTool({
      file: join(programs, 'pg_dump'),
      args: [...dumpOptions, ...excluded],
      stdout: 'ignore',
      env: libpqEnvironment(url, { database }),
      signal,
    });
  }
  return names;
}

/** Those that take sessions: an interrupted DROP DATABASE leaves one that does not, and can only be dropped. */
async function databasesOf(url: PostgresUrl, { signal, emit }: RunContext): Promise<string[]> {
  const rows = await withConnection(url, { signal }, async (connection: Connection) =>
    connection.query(
      `SELECT datname AS name, NOT (${isWhole}) AS broken FROM pg_database WHERE datallowconn ORDER BY 1`,
    ),
  );
  const [broken, whole] = [rows.filter((row) => row['broken'] === 't'), rows.filter((row) => row['broken'] !== 't')];
  for (const { name } of broken) {
    emit({
      type: 'warning',
      component: 'base',
      message:
        `database "${name}" was not read: it is marked as invalid by a DROP DATABASE that was interrupted, ` +
        'and can only be dropped, here as on the original server',
    });
  }
  return whole.map((row) => row['name'] ?? '');
}

function notRead(database: string, locked: readonly string[]): string {
  const names = locked.slice(0, 5).join(', ');
  const more = locked.length > 5 ? ` and ${locked.length - 5} more` : '';
  return (
    `not read in database ${database}: ${names}${more}, ` +
    'which a transaction that had not ended at that moment has locked; a promotion ends it'
  );
}

/**
 * Quoted names: while the replay is held, transactions in it hold the locks that they had. Whoever wants such a table
 * would wait for ever.
 */
async function lockedTables(url: PostgresUrl, database: string, signal: AbortSignal): Promise<string[]> {
  const sql =
    "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_locks l JOIN pg_class c ON c.oid = l.relation " +
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE pg_is_in_recovery() AND l.locktype = 'relation' AND " +
    "l.mode = 'AccessExclusiveLock' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = " +
    "current_database()) AND c.relkind IN ('r', 'p', 'm', 'S') ORDER BY 1";
  return withConnection(url, { database, signal }, async (connection) =>
    (await connection.query(sql)).map((row) => row['name'] ?? ''),
  );
}
