/** A logical backup of PostgreSQL: its databases, the largest tables of each, extensions and roles. */
import { counted, formatBytes } from '../../lib/units.ts';
import type { DatabaseFacts, PostgresFacts, TableFacts } from '../../source/postgres/facts/facts.ts';
import { columns } from '../table.ts';
import { firstOf, grouped, namedLines, paragraphs } from './lines.ts';

const largestShown = 10;
const namesShown = 10;

const comparisons: Record<TableFacts['method'], string> = {
  record: 'rows, fingerprint',
  text: 'rows, fingerprint',
  copy: 'rows, fingerprint',
  count: 'rows only',
};

/** The line of the server, then the tables. */
export async function postgresText(facts: PostgresFacts): Promise<string> {
  return paragraphs([
    `PostgreSQL ${facts.serverVersion}, by pg_dump ${facts.toolVersion}`,
    await databasesTable(facts.databases),
    await largestTables(facts.databases),
    await extensionsTable(facts.databases),
    namedLines([
      ['roles', rolesText(facts)],
      ...(facts.leftOut ?? []).map(({ database, reason }): [string, string] => [`not backed up: ${database}`, reason]),
      ...facts.databases.flatMap(specialRows),
    ]),
  ]);
}

async function databasesTable(databases: readonly DatabaseFacts[]): Promise<string> {
  return columns(
    ['DATABASE', 'OWNER', 'ENCODING', 'TABLES', 'ROWS', 'ON DISK', 'LARGE OBJECTS', 'SNAPSHOT AT (WAL)'],
    databases.map(({ name, owner, encoding, tables, largeObjects, snapshot }) => [
      name,
      owner,
      encoding,
      grouped(tables.length),
      grouped(tables.reduce((sum, { rows }) => sum + BigInt(rows), 0n)),
      formatBytes(tables.reduce((sum, { bytes }) => sum + bytes, 0) + Number(largeObjects.bytes)),
      largeObjects.count === '0' ? '' : `${grouped(largeObjects.count)} (${formatBytes(Number(largeObjects.bytes))})`,
      snapshot.lsn ?? '',
    ]),
    [3, 4, 5, 6],
  );
}

async function largestTables(databases: readonly DatabaseFacts[]): Promise<string> {
  const rows = databases.flatMap(({ name, tables }) => {
    const bySize = tables.toSorted((a, b) => b.bytes - a.bytes);
    return bySize
      .slice(0, largestShown)
      .map((table) => [
        name,
        `${table.schema}.${table.name}${table.kind === 'm' ? ' (materialized view)' : ''}`,
        grouped(table.rows),
        formatBytes(table.bytes),
        comparisons[table.method],
      ]);
  });
  if (rows.length === 0) return '';
  const total = databases.reduce((sum, { tables }) => sum + tables.length, 0);
  const table = await columns(['DATABASE', 'TABLE', 'ROWS', 'ON DISK', 'COMPARED BY'], rows, [2, 3]);
  return total === rows.length
    ? table
    : `${table}\n(the ${largestShown} largest of each database, of ${counted(total, 'table')}; all: --json)`;
}

async function extensionsTable(databases: readonly DatabaseFacts[]): Promise<string> {
  const rows = databases.flatMap(({ name, extensions }) =>
    extensions.map((each) => [name, each.name, each.version, each.schema]),
  );
  return rows.length === 0 ? '' : columns(['DATABASE', 'EXTENSION', 'VERSION', 'SCHEMA'], rows);
}

function rolesText({ globals }: PostgresFacts): string {
  if (globals === undefined) return 'not backed up: the right to read them was missing';
  const passwords = globals.withPasswords ? 'with passwords' : 'without passwords';
  return `${firstOf(globals.roles, namesShown)} (${passwords})`;
}

/** What a restore treats in its own way. */
function specialRows({ name, publications, subscriptions, withoutRows = [] }: DatabaseFacts): [string, string][] {
  return [
    ...withoutRows.map((table): [string, string] => [`ROWS NOT BACKED UP in ${name}`, `${table.schema}.${table.name}`]),
    [`publications of ${name}`, firstOf(publications, namesShown)],
    [`subscriptions of ${name}`, firstOf(subscriptions, namesShown)],
  ];
}
