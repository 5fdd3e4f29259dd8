/**
 * Tables that are in a backup without their rows, since these could not be read: they come back empty, and no foreign
 * key to one of them can be made.
 */
import type { TocEntry } from '../archive/format.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { quoteQualified } from '../server/quote.ts';

export interface Untied {
  /** Ids that may be restored, in the archive's order. */
  readonly ids: readonly number[];
  /** What is lost; worth telling. */
  readonly notes: readonly string[];
}

/** Of the entries in `chosen` (undefined: all), those that hold without the rows of `leftOut`. */
export function withoutTies(
  toc: readonly TocEntry[],
  leftOut: NonNullable<DatabaseFacts['withoutRows']>,
  chosen: ReadonlySet<number> | undefined,
): Untied {
  const wanted = toc.filter(({ dumpId }) => chosen?.has(dumpId) ?? true);
  const names = new Set(leftOut.map(({ schema, name }) => quoteQualified(schema, name)));
  const empty = wanted.filter(
    ({ type, schema, name }) => type === 'TABLE' && names.has(quoteQualified(schema ?? '', name)),
  );
  const theirs = new Set(toc.filter((entry) => empty.some((table) => isOf(entry, table))).map(({ dumpId }) => dumpId));
  const tables = new Map(toc.filter(({ type }) => type === 'TABLE').map((table) => [table.dumpId, table]));
  const isTie = (entry: TocEntry): boolean =>
    entry.type === 'FK CONSTRAINT' &&
    entry.needs.some((id) => theirs.has(id)) &&
    !empty.some(({ dumpId }) => dumpId === ownerOf(entry, tables)?.dumpId);
  return {
    ids: wanted.filter((entry) => !isTie(entry)).map(({ dumpId }) => dumpId),
    notes: [
      ...empty.map(
        ({ schema = '', name }) =>
          `table ${quoteQualified(schema, name)} comes back empty: its rows are not in the backup`,
      ),
      ...wanted
        .filter(isTie)
        .map(({ name }) => `foreign key ${name} is not restored: the rows that it references are not in the backup`),
    ],
  };
}

/** The table itself, or a key of it that others may reference. */
function isOf(entry: TocEntry, table: TocEntry): boolean {
  if (entry.dumpId === table.dumpId) return true;
  return ['CONSTRAINT', 'INDEX'].includes(entry.type) && entry.needs.includes(table.dumpId);
}

/** The tag of a constraint is "table constraint"; where both could be the table's name, it is the longer one. */
function ownerOf(constraint: TocEntry, tables: ReadonlyMap<number, TocEntry>): TocEntry | undefined {
  return constraint.needs
    .flatMap((id) => tables.get(id) ?? [])
    .filter(({ schema, name }) => schema === constraint.schema && constraint.name.startsWith(`${name} `))
    .sort((a, b) => b.name.length - a.name.length)[0];
}
