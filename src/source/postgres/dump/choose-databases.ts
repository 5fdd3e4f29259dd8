/**
 * Which databases of a server are backed up. "*" stands for all that take connections, templates of the operator's
 * among them; whatever of the server is left out is named, with the reason.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { PostgresFacts } from '../facts/facts.ts';
import { type Connection, withConnection } from '../server/connection.ts';

/** Of "*": one that is not backed up. */
export type LeftOut = NonNullable<PostgresFacts['leftOut']>[number];

export interface ChosenDatabases {
  readonly names: readonly string[];
  readonly leftOut: readonly LeftOut[];
}

/** Databases of providers' own that nobody else may open. */
const providersOwn = new Set(['rdsadmin', 'cloudsqladmin', 'azure_maintenance', 'azure_sys']);

/** "*" in the order of their making, so that new ones come last. `connection`: to any database of the server. */
export async function chooseDatabases(
  connection: Connection,
  wanted: readonly string[],
  url: PostgresUrl,
  signal?: AbortSignal,
): Promise<ChosenDatabases> {
  if (wanted[0] !== '*') return { names: [...new Set(wanted)], leftOut: [] };
  const rows = await connection.query(`
    SELECT datname AS name, datallowconn AS allows, has_database_privilege(datname, 'CONNECT') AS open,
      datconnlimit = -2 AS broken
    FROM pg_database WHERE datname <> 'template0' ORDER BY oid`);
  const names: string[] = [];
  const leftOut: LeftOut[] = [];
  for (const { name, ...row } of rows) {
    const database = name ?? '';
    const reason = reasonAgainst(row);
    if (database === 'template1') leftOut.push(...(reason === undefined ? await lookAtTemplate(url, signal) : []));
    else if (reason === undefined) names.push(database);
    else if (!providersOwn.has(database)) leftOut.push({ database, reason, isData: true });
  }
  if (names.length === 0) throw new LifeboatError('source', `there is no database to back up at ${connection.server}`);
  return { names, leftOut };
}

/** In words. */
export function leftOutText({ database, reason }: LeftOut): string {
  return `database ${database} is not backed up: ${reason}`;
}

function reasonAgainst({ allows, open, broken }: Readonly<Record<string, string | null>>): string | undefined {
  if (broken === 't') return 'a DROP DATABASE of it was interrupted';
  if (allows !== 't') return 'it takes no connections';
  return open === 't' ? undefined : 'the user may not connect to it';
}

/** initdb's own objects have lower numbers (FirstNormalObjectId in access/transam.h). */
const ownObjectsSql = `
  SELECT (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid >= 16384 AND n.nspname !~ '^pg_' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S'))
    + (SELECT count(*) FROM pg_proc WHERE oid >= 16384)
    + (SELECT count(*) FROM pg_extension WHERE oid >= 16384)
    + (SELECT count(*) FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_')
    + (SELECT count(*) FROM pg_type WHERE oid >= 16384 AND typtype IN ('d', 'e', 'r') AND typnamespace <> 11)
    + (SELECT count(*) FROM pg_largeobject_metadata) AS count`;

/** What is in template1 is in each database that was made from it, too: no data is lost without it. */
async function lookAtTemplate(url: PostgresUrl, signal: AbortSignal | undefined): Promise<LeftOut[]> {
  const look = withConnection(url, { database: 'template1', signal }, async (client) => client.query(ownObjectsSql));
  // Not everybody is let in.
  const [row] = await look.catch(() => []);
  signal?.throwIfAborted();
  if (row === undefined || row['count'] === '0') return [];
  const reason =
    `it holds objects of your own (${row['count']}), which new databases begin with; those that were made from it ` +
    'have their copies';
  return [{ database: 'template1', reason, isData: false }];
}
