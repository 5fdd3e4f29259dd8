/**
 * Tables as they were recorded and as they are: every count and fingerprint, exactly; what is missing or too many. A
 * relation that could not be counted on either side (see facts/plannable.ts) must be there, and is said to be unknown.
 */
import type { TableFacts } from '../facts/facts.ts';
import { sumBits } from '../facts/line-sum.ts';
import { quoteQualified } from '../server/quote.ts';

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/** By keyOf(), for each partition whose rows may lie in another one after a restore: the table of both. */
export type MovingRows = ReadonlyMap<string, string>;

/** One thing that differs. */
export interface Mismatch {
  /** Quoted name of a table or sequence, or "large objects", "extension x". */
  readonly what: string;
  readonly kind: 'missing' | 'extra' | 'rows' | 'content' | 'sequence' | 'extension' | 'large-objects';
  readonly expected: string;
  readonly found: string;
}

export interface TablesToCompare {
  readonly expected: readonly TableFacts[];
  readonly found: readonly TableFacts[];
  /** By keyOf(); in neither of the lists. */
  readonly uncountedBefore: ReadonlySet<string>;
  readonly uncountedNow: ReadonlySet<string>;
  /** They are in the backup without rows; also in neither list. */
  readonly withoutRows: ReadonlySet<string>;
  readonly moving: MovingRows;
  /** Without rows: which tables there are. */
  readonly schemaOnly: boolean;
  /** Gets differences that are not the backup's fault. */
  readonly notes: string[];
}

/** What differs. */
export function compareTables(all: TablesToCompare): Mismatch[] {
  const found = new Map(all.found.map((table) => [keyOf(table), table]));
  return [
    ...all.expected
      .filter((want) => !all.uncountedNow.has(keyOf(want)))
      .flatMap((want) => compareTable(want, found, all)),
    ...compareTogether(all),
    ...compareUncounted(found, all),
    ...findExtra(all),
  ];
}

/** Quoted: one name for each table. */
export function keyOf({ schema, name }: TableName): string {
  return quoteQualified(schema, name);
}

function compareTable(
  want: TableFacts,
  found: ReadonlyMap<string, TableFacts>,
  { schemaOnly, notes, moving }: TablesToCompare,
): Mismatch[] {
  const what = keyOf(want);
  const have = found.get(what);
  if (have === undefined) {
    // A materialized view is filled anew: from a stale one other rows are right.
    return want.kind === 'm' && schemaOnly ? [] : [missing(what)];
  }
  if (schemaOnly || moving.has(what)) return [];
  if (want.kind === 'm') {
    if (have.rows !== want.rows) {
      notes.push(`materialized view ${what} was made anew and has ${have.rows} rows; it had ${want.rows}`);
    }
    return [];
  }
  if (have.rows !== want.rows) return [{ what, kind: 'rows', expected: want.rows, found: have.rows }];
  if (have.method !== want.method) {
    notes.push(`table ${what} was only counted: its fingerprint cannot be made here as it was made`);
    return [];
  }
  return have.fingerprint === want.fingerprint
    ? []
    : [{ what, kind: 'content', expected: want.fingerprint ?? '', found: have.fingerprint ?? '' }];
}

/** The partitions of each such table as one: counts and fingerprints are sums over rows, wherever these lie. */
function compareTogether(all: TablesToCompare): Mismatch[] {
  const { expected, found, moving, schemaOnly, notes } = all;
  if (schemaOnly) return [];
  const unknown = [...all.uncountedBefore, ...all.uncountedNow, ...all.withoutRows].map((what) => moving.get(what));
  const roots = new Set(moving.values()).difference(new Set(unknown));
  return [...roots].flatMap((root): Mismatch[] => {
    const within = (table: TableFacts): boolean => moving.get(keyOf(table)) === root;
    const [want, have] = [sumOf(expected.filter(within)), sumOf(found.filter(within))];
    if (want.rows !== have.rows) {
      return [{ what: root, kind: 'rows', expected: want.rows.toString(), found: have.rows.toString() }];
    }
    if (want.method === undefined || want.method !== have.method) {
      notes.push(`table ${root} was only counted: its rows may lie in other partitions, and these have no common hash`);
      return [];
    }
    return want.fingerprint === have.fingerprint
      ? []
      : [{ what: root, kind: 'content', expected: want.fingerprint.toString(), found: have.fingerprint.toString() }];
  });
}

interface TableSum {
  readonly rows: bigint;
  /** Undefined: they have not all been hashed alike. */
  readonly method: TableFacts['method'] | undefined;
  readonly fingerprint: bigint;
}

function sumOf(tables: readonly TableFacts[]): TableSum {
  const methods = new Set(tables.map(({ method }) => method));
  const [method] = methods;
  const sum = tables.reduce((total, { fingerprint }) => total + BigInt(fingerprint ?? '0'), 0n);
  return {
    rows: tables.reduce((total, { rows }) => total + BigInt(rows), 0n),
    method: methods.size === 1 && method !== 'count' ? method : undefined,
    fingerprint: method === 'copy' ? BigInt.asUintN(sumBits, sum) : sum,
  };
}

const namesShown = 5;

function compareUncounted(
  found: ReadonlyMap<string, TableFacts>,
  { uncountedBefore, uncountedNow, schemaOnly, notes }: TablesToCompare,
): Mismatch[] {
  if (schemaOnly) return [];
  // A materialized view that can be counted only here has been made anew: there is nothing to compare it with.
  const names = [...new Set([...uncountedBefore, ...uncountedNow])].filter((what) => found.get(what)?.kind !== 'm');
  if (names.length > 0) {
    const more = names.length > namesShown ? ` and ${names.length - namesShown} more` : '';
    notes.push(
      `not compared, since a count could run code of an owner's: ${names.slice(0, namesShown).join(', ')}${more}`,
    );
  }
  return [...uncountedBefore].filter((what) => !found.has(what) && !uncountedNow.has(what)).map(missing);
}

function findExtra({ expected, found, uncountedBefore, withoutRows }: TablesToCompare): Mismatch[] {
  const known = new Set([...expected.map(keyOf), ...uncountedBefore, ...withoutRows]);
  return found
    .filter((have) => have.kind === 'r' && !known.has(keyOf(have)))
    .map((have) => ({ what: keyOf(have), kind: 'extra', expected: 'nothing', found: 'a table' }));
}

function missing(what: string): Mismatch {
  return { what, kind: 'missing', expected: 'a table', found: 'nothing' };
}
