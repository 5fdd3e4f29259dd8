/**
 * Functions that name something without its schema, called by constraints, generated columns, index expressions and
 * materialized views: they worked where the database was used, with its search_path, and fail in a restore, which has
 * none, so that a name in the archive means what it meant. While something is tried again, such functions have the
 * database's own search_path, as if they had been made with it; the session itself keeps none. That holds for
 * PostgreSQL 17 and later too, which builds indexes and fills materialized views without any other.
 */
import { withConnection } from '../server/connection.ts';
import { settingValue } from './database-settings.ts';
import type { RestoreTarget } from './pg-restore.ts';

/** `url`: of whoever may alter functions. */
export type FunctionPlace = Pick<RestoreTarget, 'url' | 'database'>;

/**
 * Runs `work` while every function of the database that has no search_path of its own has this one. Undefined, and not
 * run, where there is none that could be given it.
 */
export async function withFunctionPaths<T>(
  place: FunctionPlace,
  searchPath: string,
  work: () => Promise<T>,
): Promise<T | undefined> {
  const changed = await alterAll(
    place,
    await pathless(place),
    `SET search_path = ${settingValue('search_path', searchPath)}`,
  );
  if (changed.length === 0) return undefined;
  try {
    return await work();
  } finally {
    await alterAll(place, changed, 'RESET search_path');
  }
}

/** Extensions' functions too: some of PostgreSQL's own extensions have such. Bodies that are parsed need nothing. */
async function pathless({ url, database }: FunctionPlace): Promise<string[]> {
  const sql = `SELECT p.oid::regprocedure::text AS name
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal') AND p.prokind <> 'a'
      AND coalesce(to_jsonb(p) ->> 'prosqlbody', '') = ''
      AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c ^@ 'search_path=')`;
  return withConnection(url, { database }, async (client) => (await client.query(sql)).map(({ name }) => name ?? ''));
}

/** Which of them it could change; without the run's signal, since what was changed has to be taken back. */
async function alterAll(
  { url, database }: FunctionPlace,
  functions: readonly string[],
  change: string,
): Promise<string[]> {
  return withConnection(url, { database, changes: true }, async (client) => {
    const changed: string[] = [];
    for (const name of functions) {
      // Others' functions are not for everyone to alter.
      const isDone = await client.query(`ALTER ROUTINE ${name} ${change}`).then(
        () => true,
        () => false,
      );
      client.lost.throwIfAborted();
      if (isDone) changed.push(name);
    }
    return changed;
  });
}
