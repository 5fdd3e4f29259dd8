/**
 * Backups that this host has seen and that are gone, although nothing records that they were deleted: somebody took
 * them away, or put an older state back. By names alone, which is quick: what is there, but damaged or another one, is
 * told by others.
 */
import { isDenied, type Storage } from '../../storage/storage.ts';
import { everStored } from '../earlier-versions.ts';
import type { Repository } from '../repository.ts';
import type { SeenBackup } from '../seen-backups.ts';
import { deletedSince } from './deleted-records.ts';

const clockToleranceMs = 10 * 60_000;

/**
 * Newest first. Where trash or the log of deletions cannot be read only the newest counts, which no cleanup deletes.
 * `hidden`: whether those under a delete marker count as there. What is accounted for is forgotten on the way. Throws
 * what the storage throws, and `usage` where the state folder cannot be read.
 */
export async function findVanished(
  repository: Repository,
  target: string,
  hidden: 'gone' | 'there' = 'gone',
): Promise<readonly SeenBackup[]> {
  const { storage, seen } = repository;
  const known = await seen.all(target);
  const absent = await absentFrom(storage, known, hidden);
  if (absent.length === 0) return [];
  const deleted = repository.canRead ? await tryDeleted(repository, absent) : undefined;
  if (deleted === undefined) return absent.filter((each) => each === known[0]);
  const isDeleted = ({ id, seal }: SeenBackup): boolean => deleted.has(`${id} ${seal}`);
  const accounted = new Set(absent.filter(isDeleted).map(({ id }) => id));
  // A state folder that cannot be written costs only time.
  await seen.forget(target, accounted).catch(() => {});
  return absent.filter((each) => !accounted.has(each.id));
}

/** `more`: how many others are gone. */
export function vanishedText(target: string, { id, startedAt }: SeenBackup, more: number): string {
  const others = more === 0 ? '' : `, and ${more} more`;
  return (
    `backup ${id} of target ${target}, taken ${startedAt}, which this host has seen, is gone${others}, and nothing ` +
    'records that it was deleted: somebody took it away, or put an older state of the repository back'
  );
}

/** Undefined where it cannot be told. */
async function tryDeleted(repository: Repository, absent: readonly SeenBackup[]): Promise<Set<string> | undefined> {
  const sinceMs = Math.min(...absent.map(({ startedAt }) => Date.parse(startedAt))) - clockToleranceMs;
  try {
    return await deletedSince(repository, sinceMs);
  } catch (error) {
    if (!isDenied(error)) throw error;
    return undefined;
  }
}

async function absentFrom(
  storage: Storage,
  known: readonly SeenBackup[],
  hidden: 'gone' | 'there',
): Promise<SeenBackup[]> {
  if (known.length === 0) return [];
  const there = new Set<string>();
  const names = hidden === 'there' ? everStored(storage, 'manifests/') : storage.list('manifests/');
  for await (const { key } of names) there.add(key);
  const isAbsent = ({ id }: SeenBackup): boolean =>
    !there.has(`manifests/${id}.json`) && !there.has(`trash/${id}.json`);
  if (known.some(isAbsent)) for (const key of await tryTrash(storage)) there.add(key);
  return known.filter(isAbsent);
}

/** Empty where these credentials may not look: then they may not read the log of deletions either. */
async function tryTrash(storage: Storage): Promise<string[]> {
  const keys: string[] = [];
  try {
    for await (const { key } of storage.list('trash/')) keys.push(key);
  } catch (error) {
    if (!isDenied(error)) throw error;
  }
  return keys;
}
