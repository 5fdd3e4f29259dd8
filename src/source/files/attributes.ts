/** What an entry of a tree is, apart from its content, compared with what its catalog says. */
import type { BigIntStats } from 'node:fs';
import type { PlacedEntry } from './catalog.ts';
import type { rightsPolicy } from './restore-rights.ts';

/** Node sets times by way of a double, which is this exact. */
const mtimeToleranceNs = 1000n;

/** "is a symlink, not a folder"; undefined where it is what it should be. */
export function typeDifference(entry: PlacedEntry, stat: BigIntStats): string | undefined {
  const type = typeName(stat);
  const wantedType = entry.type === 'hardlink' ? 'file' : entry.type;
  return type === wantedType ? undefined : `is a ${type}, not a ${wantedType}`;
}

/** How mode, owner and time of last change differ, such as "mode is 0644, not 0600". */
export function attributeDifferences(
  entry: PlacedEntry,
  stat: BigIntStats,
  { owner, mode }: ReturnType<ReturnType<typeof rightsPolicy>>,
): string[] {
  const differences: string[] = [];
  const found = Number(stat.mode) & 0o7777;
  if (entry.type !== 'symlink' && found !== mode) differences.push(`mode is ${octal(found)}, not ${octal(mode)}`);
  const isOwned = owner === undefined || (stat.uid === BigInt(owner.uid) && stat.gid === BigInt(owner.gid));
  if (!isOwned) differences.push(`owner is ${stat.uid}:${stat.gid}, not ${owner.uid}:${owner.gid}`);
  const apartNs = stat.mtimeNs - entry.mtimeNs;
  if (apartNs > mtimeToleranceNs || apartNs < -mtimeToleranceNs) differences.push('was changed at another time');
  return differences;
}

function typeName(stat: BigIntStats): string {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'folder';
  return stat.isSymbolicLink() ? 'symlink' : 'special file';
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
