/**
 * Chooses from an archive's table of contents what chosen tables need: their definitions with indexes,
 * constraints, triggers, policies, defaults, sequences, comments and grants; partitions of a chosen
 * parent; types, functions, schemas and extensions that these rest on. A foreign key to a table that is
 * not chosen is left out, and so is a partition's tie to a parent that is not chosen.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { TocEntry } from '../archive/format.ts';
import { chosenBy, type TablePattern } from './table-patterns.ts';

export interface ChosenEntries {
  /** Ids, in the archive's order. */
  readonly ids: readonly number[];
  /** True for a relation whose rows are wanted. */
  hasRows(schema: string, name: string): boolean;
  /** Foreign keys that were left out, and tables that came along without rows: worth telling. */
  readonly notes: readonly string[];
}

const relations = new Set(['TABLE', 'VIEW', 'MATERIALIZED VIEW', 'FOREIGN TABLE', 'SEQUENCE']);

/** What hangs on something chosen and comes along if all else that it needs is chosen or may be pulled in. */
const attached = new Set(
  (
    'INDEX,CONSTRAINT,CHECK CONSTRAINT,FK CONSTRAINT,TRIGGER,RULE,POLICY,ROW SECURITY,DEFAULT,COMMENT,ACL,SECURITY ' +
    'LABEL,SEQUENCE,SEQUENCE SET,SEQUENCE OWNED BY,STATISTICS,STATISTICS DATA,TABLE ATTACH,INDEX ' +
    'ATTACH,MATERIALIZED VIEW DATA'
  ).split(','),
);

/** Never pulled in by what only hangs between two tables. */
const tableFamily = new Set('TABLE,VIEW,MATERIALIZED VIEW,FOREIGN TABLE,INDEX,CONSTRAINT'.split(','));

/** Throws `usage` for a pattern that fits nothing. */
export function chooseEntries(toc: readonly TocEntry[], patterns: readonly TablePattern[]): ChosenEntries {
  const byId = new Map(toc.map((entry) => [entry.dumpId, entry]));
  const roots = findRoots(toc, patterns);
  addPartitions(toc, roots);
  const chosen = new Set<number>();
  const notes: string[] = [];
  for (const id of roots) pull(id, byId, chosen);
  while (attachAll(toc, byId, chosen)) continue;
  for (const entry of toc) {
    if (
      entry.type === 'FK CONSTRAINT' &&
      !chosen.has(entry.dumpId) &&
      entry.needs.some((id) => roots.has(id) && ownsConstraint(byId.get(id), entry))
    ) {
      notes.push(
        `foreign key ${entry.name} is not restored: the table that it references is not among the chosen ones`,
      );
    }
    if (entry.type === 'TABLE' && chosen.has(entry.dumpId) && !roots.has(entry.dumpId)) {
      notes.push(`table ${entry.schema}.${entry.name} comes along without rows: a chosen one rests on it`);
    }
  }
  const filled = new Set([...roots].flatMap((id) => keyOf(byId.get(id)) ?? []));
  return {
    ids: toc.filter(({ dumpId }) => chosen.has(dumpId)).map(({ dumpId }) => dumpId),
    hasRows: (schema, name) => filled.has(JSON.stringify([schema, name])),
    notes,
  };
}

function findRoots(toc: readonly TocEntry[], patterns: readonly TablePattern[]): Set<number> {
  const roots = new Set<number>();
  const tables = toc.filter(({ type, schema }) => relations.has(type) && schema !== undefined);
  for (const pattern of patterns) {
    const found = chosenBy(pattern, tables, ({ schema = '', name }) => [schema, name]);
    if (found.length === 0) {
      throw new LifeboatError('usage', `no table of the backup fits "${pattern.text}"`, {
        hint: 'letter case counts; lifeboat show lists the tables',
        state: 'nothing was changed',
      });
    }
    for (const { dumpId } of found) roots.add(dumpId);
  }
  return roots;
}

/** TABLE ATTACH needs the partition and its parent. */
function addPartitions(toc: readonly TocEntry[], roots: Set<number>): void {
  const byName = new Map(
    toc.filter(({ type }) => type === 'TABLE' || type === 'FOREIGN TABLE').map((entry) => [keyOf(entry), entry.dumpId]),
  );
  const ties = toc.flatMap((entry) => {
    const child = entry.type === 'TABLE ATTACH' ? byName.get(keyOf(entry)) : undefined;
    return child === undefined ? [] : [{ child, parents: entry.needs.filter((id) => id !== child) }];
  });
  for (let grown = true; grown;) {
    const before = roots.size;
    for (const { child, parents } of ties) if (parents.some((id) => roots.has(id))) roots.add(child);
    grown = roots.size > before;
  }
}

/** An entry and all that it needs. */
function pull(id: number, byId: ReadonlyMap<number, TocEntry>, chosen: Set<number>): void {
  const waiting = [id];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const entry = byId.get(next);
    if (entry === undefined || chosen.has(next)) continue;
    chosen.add(next);
    waiting.push(...entry.needs);
  }
}

/** One round; true if something came along. */
function attachAll(toc: readonly TocEntry[], byId: ReadonlyMap<number, TocEntry>, chosen: Set<number>): boolean {
  const before = chosen.size;
  for (const entry of toc) {
    if (
      chosen.has(entry.dumpId) ||
      !attached.has(entry.type) ||
      !entry.needs.some((id) => chosen.has(id) && hangsOn(entry, byId.get(id)))
    ) {
      continue;
    }
    if (entry.needs.every((id) => chosen.has(id) || !tableFamily.has(byId.get(id)?.type ?? ''))) {
      pull(entry.dumpId, byId, chosen);
    }
  }
  return chosen.size > before;
}

/** A trigger does not come along with its function alone, nor a policy, default or statistics with a type. */
function hangsOn(entry: TocEntry, on: TocEntry | undefined): boolean {
  if (on === undefined) return false;
  return (
    ['COMMENT', 'ACL', 'SECURITY LABEL'].includes(entry.type) || tableFamily.has(on.type) || on.type === 'SEQUENCE'
  );
}

/** The tag of a constraint is "table constraint". */
function ownsConstraint(table: TocEntry | undefined, constraint: TocEntry): boolean {
  return table !== undefined && table.schema === constraint.schema && constraint.name.startsWith(`${table.name} `);
}

function keyOf(entry: TocEntry | undefined): string | undefined {
  return entry === undefined ? undefined : JSON.stringify([entry.schema, entry.name]);
}
