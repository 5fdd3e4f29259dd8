/**
 * Statistics for the planner: without them the first queries after a restore are slow. ANALYZE evaluates expressions of
 * indexes and statistics, and so calls functions that may fail (function-paths.ts); that costs statistics, no rows.
 */
import type { RunContext } from '../../../lib/events.ts';
import { type Connection, withConnection } from '../server/connection.ts';
import { serverWords } from '../server/maintenance.ts';
import { quoteQualified } from '../server/quote.ts';
import { type FunctionPlace, withFunctionPaths } from './function-paths.ts';

/** What could not be analysed is a warning. Throws `source` (13) when the server is lost. */
export async function analyze(place: FunctionPlace, searchPath: string, context: RunContext): Promise<void> {
  const { signal } = context;
  await withConnection(place.url, { database: place.database, signal, changes: true }, async (client) => {
    if ((await failureOf(client, 'ANALYZE', signal)) === undefined) return;
    const each = async (): Promise<true> => analyzeEach(client, context);
    if ((await withFunctionPaths(place, searchPath, each)) === undefined) await each();
  });
}

/** One that fails ends ANALYZE of a whole database for all that come after. */
async function analyzeEach(client: Connection, { signal, emit }: RunContext): Promise<true> {
  for (const { schema, name } of await client.query(tablesSql)) {
    const table = quoteQualified(schema ?? '', name ?? '');
    const failure = await failureOf(client, `ANALYZE ${table}`, signal);
    if (failure === undefined) continue;
    const message = `statistics of table ${table} could not be made: ${failure}`;
    emit({ type: 'warning', component: 'postgres', message });
  }
  return true;
}

const tablesSql = `SELECT n.nspname AS schema, c.relname AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'm') AND c.oid >= 16384 ORDER BY c.oid`;

async function failureOf(client: Connection, statement: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    await client.query(statement);
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    client.lost.throwIfAborted();
    return serverWords(error);
  }
}
