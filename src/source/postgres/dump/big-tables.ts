/** Which archives a database's dump is made of: one for the schema, one for each big table, one for all the rest. */
import { createHash } from 'node:crypto';
import type { Relation } from '../facts/relations.ts';
import { isSpeakable } from '../server/quote.ts';

/** A table that is dumped into an archive of its own. */
export interface BigTable {
  readonly artifact: string;
  readonly schema: string;
  readonly name: string;
  readonly bytes: number;
}

export interface DumpParts {
  readonly schema: string;
  readonly data: string;
  /** Biggest first. */
  readonly tables: readonly BigTable[];
  /** Nothing of their rows is dumped. */
  readonly leftOut: readonly { readonly schema: string; readonly name: string }[];
  /** Bytes on disk of what goes into `data`. */
  readonly restBytes: number;
}

/** More would make the command line of the rest too long; the next biggest stay in the rest. */
const maxBigTables = 1000;

/**
 * Splits the tables over `bigTableBytes` off. An artifact's name depends on the table's name alone, so that
 * the next backup finds the same one again. `prefix`: '' or '0001-'. Names that are not valid UTF-8 (possible
 * in SQL_ASCII databases) cannot be given on a command line: those tables stay in the rest.
 */
export function planParts(
  relations: readonly Relation[],
  bigTableBytes: number,
  prefix: string,
  leftOut: DumpParts['leftOut'] = [],
): DumpParts {
  const tables = relations.filter(({ kind }) => kind === 'r');
  const big = tables
    .filter(({ bytes, schema, name }) => bytes > bigTableBytes && isSpeakable(schema, name))
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, maxBigTables);
  const taken = new Set<string>();
  const parts = big.map(({ schema, name, bytes }) => ({
    artifact: nameFor(prefix, schema, name, taken),
    schema,
    name,
    bytes,
  }));
  const sum = (relationsOf: readonly { bytes: number }[]): number =>
    relationsOf.reduce((total, { bytes }) => total + bytes, 0);
  return {
    schema: `${prefix}schema.dump`,
    data: `${prefix}data.dump`,
    tables: parts,
    leftOut,
    restBytes: sum(tables) - sum(parts),
  };
}

function nameFor(prefix: string, schema: string, name: string, taken: Set<string>): string {
  for (let attempt = 0; ; attempt++) {
    const digest = createHash('sha256').update(
      JSON.stringify(attempt === 0 ? [schema, name] : [schema, name, attempt]),
    );
    const artifact = `${prefix}data-${digest.digest('hex').slice(0, 8)}.dump`;
    if (taken.has(artifact)) continue;
    taken.add(artifact);
    return artifact;
  }
}
