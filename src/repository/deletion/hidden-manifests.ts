/**
 * Backups that somebody hid: in a bucket that keeps versions a plain DELETE only puts a marker over the manifest.
 * Cleanup itself does so when it moves one to trash, and records what it deletes for good; a manifest that is hidden
 * without either was hidden by somebody else, and a cleanup that took it for gone would finish their work.
 */
import { NotFoundError, isDenied, type ObjectVersion, type Storage } from '../../storage/storage.ts';
import { readDeleted } from './deleted-records.ts';
import { isBackupId } from '../manifests/ids.ts';
import { packKey } from '../packs/index-part.ts';
import { readHiddenManifest, type ListedManifest } from '../manifests/listing.ts';
import type { Manifest } from '../manifests/manifest.ts';
import { decodePackTable } from '../packs/usage.ts';
import type { Repository } from '../repository.ts';
import { readTable } from './trash.ts';
import { trashKey } from '../object-keys.ts';

/** A manifest under a delete marker. */
export interface HiddenManifest {
  readonly id: string;
  /** The storage's stamp of the marker, milliseconds since 1970. */
  readonly hiddenMs: number;
  /** The version that is the true one, as far as can be told. */
  readonly listed: ListedManifest;
}

export interface HiddenManifests {
  /** Nothing says that lifeboat deleted them. */
  readonly unexplained: readonly HiddenManifest[];
  /** Recorded as deleted for good: what a cleanup that was cut short, or object lock, has left. */
  readonly recorded: readonly HiddenManifest[];
}

/**
 * Every hidden manifest that is not in trash; none where no versions are kept. Costs one listing of versions where
 * nothing is hidden. Throws what the storage throws: credentials must be allowed to list versions.
 */
export async function findHiddenManifests(repository: Repository): Promise<HiddenManifests> {
  const { storage } = repository;
  const found: HiddenManifest[] = [];
  if (storage.history === undefined) return { unexplained: [], recorded: [] };
  for await (const { key, versions } of storage.history.list('manifests/')) {
    const id = /^manifests\/(.+)\.json$/.exec(key)?.[1] ?? '';
    const [newest] = versions;
    const stored = storedOf(versions);
    if (newest?.isMarker !== true || stored.length === 0 || !isBackupId(id) || (await isThere(storage, trashKey(id)))) {
      continue;
    }
    found.push({ id, hiddenMs: newest.modifiedMs, listed: await readHiddenManifest(repository, key, stored) });
  }
  if (found.length === 0) return { unexplained: [], recorded: [] };
  const deleted = await recordedSince(repository, Math.min(...found.map(({ listed }) => listed.modifiedMs)));
  const isRecorded = ({ id, listed: { seal } }: HiddenManifest): boolean =>
    seal !== undefined && deleted.has(`${id} ${seal}`);
  return { unexplained: found.filter((each) => !isRecorded(each)), recorded: found.filter(isRecorded) };
}

/**
 * Those that nothing explains; undefined where that cannot be told: no versions are kept, or these credentials may not
 * list them.
 */
export async function findUnexplained(repository: Repository): Promise<readonly HiddenManifest[] | undefined> {
  if (repository.storage.history === undefined) return undefined;
  try {
    return (await findHiddenManifests(repository)).unexplained;
  } catch (error) {
    if (!isDenied(error)) throw error;
    return undefined;
  }
}

/** What to tell of one, and what to do about it. */
export function hiddenWarning({ id, hiddenMs }: Pick<HiddenManifest, 'id' | 'hiddenMs'>): {
  readonly message: string;
  readonly hint: string;
} {
  return {
    message:
      `backup ${id} was hidden by a delete marker at ${new Date(hiddenMs).toISOString()}, and nothing records that ` +
      'lifeboat deleted it',
    hint:
      `to get it back: lifeboat undelete ${id}; if it is to be deleted: delete every version of ` +
      `manifests/${id}.json`,
  };
}

/** Shows again whatever of a backup is hidden beside its manifest: in its folder, and its packs. */
export async function unhideContents(storage: Storage, manifest: Manifest): Promise<void> {
  if (storage.history === undefined) return;
  for await (const { key, versions } of storage.history.list(`backups/${manifest.id}/`)) {
    await unhide(storage, key, versions);
  }
  for (const { packId } of decodePackTable(await readTable(storage, manifest))) {
    const key = packKey(packId);
    if (await isThere(storage, key)) continue;
    for await (const found of storage.history.list(key)) {
      if (found.key === key) await unhide(storage, key, found.versions);
    }
  }
}

/** The oldest version is the true one: objects are written once. */
async function unhide(storage: Storage, key: string, versions: readonly ObjectVersion[]): Promise<void> {
  const [oldest] = storedOf(versions);
  if (versions[0]?.isMarker !== true || oldest === undefined || storage.history === undefined) return;
  await storage.put(key, [await storage.history.get(key, oldest.id)]);
}

/** Oldest first. */
function storedOf(versions: readonly ObjectVersion[]): ObjectVersion[] {
  return versions.filter(({ isMarker }) => !isMarker).toReversed();
}

async function isThere(storage: Storage, key: string): Promise<boolean> {
  try {
    await storage.stat(key);
    return true;
  } catch (error) {
    if (error instanceof NotFoundError) return false;
    throw error;
  }
}

/** A backup is recorded as deleted only after it was written. */
async function recordedSince(repository: Repository, sinceMs: number): Promise<Set<string>> {
  const objects: string[] = [];
  for await (const { key, modifiedMs } of repository.storage.list('audit/')) {
    if (modifiedMs >= sinceMs) objects.push(key);
  }
  return readDeleted(repository, objects);
}
