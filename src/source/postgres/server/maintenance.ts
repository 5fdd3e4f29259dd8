/**
 * Sessions in a database that a restore or a swap does not touch: one that is renamed must have no sessions, ours
 * included.
 */
import { messageOf } from '../../../lib/errors.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { sqlStateOf } from './connection-errors.ts';
import { type Connection, withConnection } from './connection.ts';

/** The part of a session that most of this needs. */
export type Queries = Pick<Connection, 'query'>;

export interface MaintenanceOptions {
  readonly url: PostgresUrl;
  /** Databases not to be connected to. */
  readonly except: readonly string[];
  /** Left out where the work has to be done although the run was aborted. */
  readonly signal?: AbortSignal;
}

/**
 * Runs `work` with a session in the URL's database, or where that one is excepted or absent in `postgres` or
 * `template1`.
 */
export async function withMaintenance<T>(
  options: MaintenanceOptions,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const database = await maintenanceDatabase(options);
  return withConnection(options.url, { database, signal: options.signal, changes: true }, work);
}

/** The database to connect to; an error of the last candidate is left to the caller's own try. */
async function maintenanceDatabase({ url, except, signal }: MaintenanceOptions): Promise<string> {
  const candidates = [url.database, 'postgres', 'template1'].filter((name) => !except.includes(name));
  for (const database of candidates.slice(0, -1)) {
    try {
      return await withConnection(url, { database, signal }, async () => database);
    } catch (error) {
      // No such database, or no right to connect to it: the next may do.
      if (!['3D000', '42501'].includes(sqlStateOf(error) ?? '')) throw error;
    }
  }
  return candidates.at(-1) ?? 'template1';
}

/** What the server itself said, without our words around it. */
export function serverWords(error: unknown): string {
  return messageOf(error instanceof Error && error.cause instanceof Error ? error.cause : error);
}
