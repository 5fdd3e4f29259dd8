/** What a database that exists must hold, and must not, before a part of a backup is restored into it. */
import { LifeboatError } from '../../../lib/errors.ts';
import type { TableFacts } from '../facts/facts.ts';
import { listRelations } from '../facts/relations.ts';
import { type CopySettings, hasRowsByCopy } from '../facts/table-copy.ts';
import type { Connection } from '../server/connection.ts';
import { quoteQualified } from '../server/quote.ts';

/** Tables of the backup, and how those that are there are looked at. */
export interface Wanted {
  readonly tables: readonly TableFacts[];
  readonly copy: CopySettings;
}

/** Definitions want tables that are not there yet. Throws `confirmation` (18). */
export async function refuseExistingTables(client: Connection, { tables }: Pick<Wanted, 'tables'>): Promise<void> {
  const there = await readTables(client);
  const existing = tables.map(nameOf).filter((name) => there.has(name));
  if (existing.length === 0) return;
  throw refused(
    'confirmation',
    `${list(existing)} exist${existing.length === 1 ? 's' : ''} in database "${client.database}"`,
    'restore into a new database and copy from there, or rename or drop what is there first',
  );
}

/**
 * Rows want tables that are there, and are empty unless rows are to be added. Throws `usage` (2), `confirmation` (18).
 */
export async function refuseUnfitTables(client: Connection, wanted: Wanted, appendRows: boolean): Promise<void> {
  const there = await readTables(client);
  const missing = wanted.tables.map(nameOf).filter((name) => !there.has(name));
  if (missing.length > 0) {
    throw refused(
      'usage',
      `${list(missing)} do${missing.length === 1 ? 'es' : ''} not exist in database "${client.database}"`,
      'restore the definitions too',
    );
  }
  const filled = appendRows ? [] : await filledTables(client, wanted);
  if (filled.length === 0) return;
  throw refused(
    'confirmation',
    `${list(filled)} in database "${client.database}" hold${filled.length === 1 ? 's' : ''} rows`,
    'empty them first, or confirm that rows are to be added',
  );
}

/** Names of those that hold a row. A query is planned only on what nobody else can change meanwhile. */
async function filledTables(client: Connection, { tables, copy }: Wanted): Promise<string[]> {
  const relations = await listRelations(client);
  const queried = relations.filter((each) => each.isPlannable && !each.isInOthersHands);
  const names = new Set(queried.map(nameOf));
  const filled: string[] = [];
  for (const table of tables) {
    const name = nameOf(table);
    const hasRows = names.has(name)
      ? (await client.query(`SELECT 1 FROM ONLY ${name} LIMIT 1`)).length > 0
      : await hasRowsByCopy(client, { ...table, columns: [] }, copy);
    if (hasRows) filled.push(name);
  }
  return filled;
}

/** Quoted names of whatever takes a table's name. */
async function readTables(client: Connection): Promise<Set<string>> {
  const rows = await client.query(
    'SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = ' +
      "c.relnamespace WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')",
  );
  return new Set(rows.map((row) => quoteQualified(row['schema'] ?? '', row['name'] ?? '')));
}

function nameOf({ schema, name }: Pick<TableFacts, 'schema' | 'name'>): string {
  return quoteQualified(schema, name);
}

function refused(code: 'confirmation' | 'usage', message: string, hint: string): LifeboatError {
  return new LifeboatError(code, message, { hint, state: 'nothing was changed' });
}

function list(names: readonly string[]): string {
  return (
    `${names.length === 1 ? 'table' : 'tables'} ` +
    `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`
  );
}
