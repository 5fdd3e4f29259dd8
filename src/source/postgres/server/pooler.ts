/**
 * Is there a connection pooler in between that gives each transaction another session (PgBouncer in
 * transaction mode)? A snapshot cannot be held through one. A pooler answers with a process id of its
 * own; one that pools whole sessions is fine.
 */
import { LifeboatError, messageOf } from '../../../lib/errors.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { type Connection, openConnection } from './connection.ts';

/** Throws `source` (13) when a session of this URL cannot be relied on. */
export async function assertHoldsSession(
  url: PostgresUrl,
  connection: Connection,
  signal?: AbortSignal,
): Promise<void> {
  if ((await backendPid(connection)) === String(connection.announcedPid)) return;
  for (let attempt = 0; attempt < 3; attempt++) {
    if (await losesSession(url, connection, signal)) {
      throw new LifeboatError(
        'source',
        `cannot back up PostgreSQL at ${connection.server}: a connection pooler gives each transaction another ` +
          'session, so no snapshot can be held',
        { hint: "use the server's own port, or a pool in session mode (a URL without the pooler)" },
      );
    }
  }
}

/** A second session sits on a backend in a transaction: does the first one still have its own? */
async function losesSession(url: PostgresUrl, first: Connection, signal: AbortSignal | undefined): Promise<boolean> {
  const before = await backendPid(first);
  await using second = await openConnection(url, { database: first.database, signal });
  const begun = await second.query('BEGIN').then(
    () => true,
    (error: unknown) => {
      if (/statement pooling/.test(messageOf(error))) return false;
      throw error;
    },
  );
  if (!begun) return true;
  const others = await backendPid(second);
  const after = await backendPid(first);
  await second.query('ROLLBACK');
  return others === before || after !== before;
}

async function backendPid(connection: Connection): Promise<string> {
  const rows = await connection.query('SELECT pg_catalog.pg_backend_pid() AS pid');
  return rows[0]?.['pid'] ?? '';
}
