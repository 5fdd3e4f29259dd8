/** Which owner, mode and time a restored entry gets. */
import type { CatalogEntry } from './catalog.ts';
import { readOwnerNames } from './owners.ts';

/**
 * - auto: as root the recorded owners, by name where this host has the name, else by number; otherwise none.
 * - numeric: the recorded numbers (root only).
 * - none: whoever runs the restore.
 */
export type OwnersPolicy = 'auto' | 'numeric' | 'none';

export interface Rights {
  /** Undefined: left to whoever runs this. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly mode: number;
  /**
   * Seconds since 1970. A double holds today's times to a quarter of a microsecond, and Node's calls take nothing
   * finer.
   */
  readonly mtimeSeconds: number;
}

export function rightsPolicy(policy: OwnersPolicy): (entry: CatalogEntry) => Rights {
  const isRoot = process.geteuid?.() === 0;
  const names = readOwnerNames();
  return (entry) => {
    const keepsOwner = policy === 'numeric' || (policy === 'auto' && isRoot);
    const byName = policy === 'auto';
    const uid = (byName ? names.uid(entry.user) : undefined) ?? entry.uid;
    const gid = (byName ? names.gid(entry.group) : undefined) ?? entry.gid;
    // A setuid file must not become one of somebody else's.
    const bits = keepsOwner ? 0o7777 : entry.type === 'folder' ? 0o1777 : 0o777;
    return {
      owner: keepsOwner ? { uid, gid } : undefined,
      mode: entry.mode & bits,
      mtimeSeconds: secondsOf(entry.mtimeNs),
    };
  };
}

/** Nanoseconds since 1970 as seconds, to the nearest that a double can hold. */
export function secondsOf(ns: bigint): number {
  return Number(ns / 1_000_000_000n) + Number(ns % 1_000_000_000n) / 1e9;
}
