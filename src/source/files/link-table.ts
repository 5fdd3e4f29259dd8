/**
 * Which of a file's names came first: the others are stored as hard links to it. Only files with more
 * than one name are in the table, and each only until all its names have been seen.
 */
import type { BigIntStats } from 'node:fs';

/** About 250 bytes each: at most 60 MB. Past it files are stored once for each name. */
export const defaultLinkLimit = 250_000;

export interface LinkTable {
  /** The member that was stored for this file already; undefined if none was. */
  find(stat: BigIntStats): Buffer | undefined;
  /** Remembers a stored file; false if there is no room for it. */
  add(stat: BigIntStats, member: Buffer): boolean;
}

export function createLinkTable(limit: number): LinkTable {
  // latin1 strings take a byte a character and hold any byte.
  const known = new Map<string, { readonly member: string; left: bigint }>();
  const keyOf = (stat: BigIntStats): string => `${stat.dev}:${stat.ino}`;
  return {
    find: (stat) => {
      const found = known.get(keyOf(stat));
      if (found === undefined) return undefined;
      found.left--;
      if (found.left <= 0n) known.delete(keyOf(stat));
      return Buffer.from(found.member, 'latin1');
    },
    add: (stat, member) => {
      if (known.size >= limit) return false;
      known.set(keyOf(stat), { member: member.toString('latin1'), left: stat.nlink - 1n });
      return true;
    },
  };
}
