/**
 * Backups that somebody hid: in a bucket that keeps versions a plain DELETE only puts a marker over the manifest, and
 * anywhere it can be moved to trash. Cleanup itself does so, and records each move and what it deletes for good; a
 * manifest that is hidden without a record was hidden by somebody else, and a cleanup that took it for gone would
 * finish their work.
 */
import { NotFoundError, isDenied, type ObjectVersion, type Storage } from '../../storage/storage.ts';
import { deletedSince } from './deleted-records.ts';
import { isBackupId } from '../manifests/ids.ts';
import { packKey } from '../packs/index-part.ts';
import { readHiddenManifest, type ListedManifest } from '../manifests/listing.ts';
import type { Manifest } from '../manifests/manifest.ts';
import { decodePackTable } from '../packs/usage.ts';
import type { Repository } from '../repository.ts';
import { readTable } from './trash.ts';
import { TrashRecords } from './trash-records.ts';
import { manifestKey, trashKey } from '../object-keys.ts';

/** A manifest under a delete marker, or in trash. */
export interface HiddenManifest {
  readonly id: string;
  /** Where it is now. */
  readonly by: 'marker' | 'trash';
  /** The storage's stamp of the marker, or of the copy in trash; milliseconds since 1970. */
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
 * Every manifest under a delete marker that cannot be read in trash; none where no versions are kept. Costs one listing
 * of versions where nothing is hidden. Throws what the storage throws: credentials must be allowed to list versions.
 */
export async function findHiddenManifests(repository: Repository, records?: TrashRecords): Promise<HiddenManifests> {
  const { storage } = repository;
  const found: HiddenManifest[] = [];
  if (storage.history === undefined) return { unexplained: [], recorded: [] };
  for await (const { key, versions } of storage.history.list('manifests/')) {
    const id = /^manifests\/(.+)\.json$/.exec(key)?.[1] ?? '';
    const [newest] = versions;
    const stored = storedOf(versions);
    if (newest?.isMarker !== true || stored.length === 0 || !isBackupId(id)) continue;
    if (await isReadableInTrash(repository, id)) continue;
    const listed = await readHiddenManifest(repository, key, stored);
    found.push({ id, by: 'marker', hiddenMs: newest.modifiedMs, listed });
  }
  if (found.length === 0) return { unexplained: [], recorded: [] };
  const deleted = await deletedSince(repository, Math.min(...found.map(({ listed }) => listed.modifiedMs)));
  const known = records ?? (await TrashRecords.list(repository));
  const unexplained: HiddenManifest[] = [];
  const recorded: HiddenManifest[] = [];
  for (const each of found) {
    // One that was taken back after that is none that lifeboat deleted.
    const isDeleted = deleted.has(`${each.id} ${each.listed.seal}`) && (await known.newest(each.id))?.state !== 'back';
    (isDeleted ? recorded : unexplained).push(each);
  }
  return { unexplained, recorded };
}

/**
 * Those that nothing explains, in trash too; undefined where that cannot be told: these credentials may not look, or
 * open what is there.
 */
export async function findUnexplained(repository: Repository): Promise<readonly HiddenManifest[] | undefined> {
  const parts = [
    async () => (await findHiddenManifests(repository)).unexplained,
    async () => findUnexplainedTrash(repository),
  ];
  const found = await Promise.all(parts.map(async (find) => find().catch(noneIfDenied)));
  if (found.every((each) => each === undefined)) return undefined;
  const all = found.flatMap((each) => each ?? []);
  return all.filter(({ id }, at) => all.findIndex((each) => each.id === id) === at);
}

/** What lies in trash, and nothing says that we moved it there; where it cannot be opened that is told by others. */
export async function findUnexplainedTrash(repository: Repository): Promise<readonly HiddenManifest[]> {
  const found: HiddenManifest[] = [];
  let records: TrashRecords | undefined;
  for await (const listed of repository.listManifests({ folder: 'trash/' })) {
    records ??= await TrashRecords.list(repository);
    const isOurs = (await records.movedMs(listed)) !== undefined;
    if (isOurs || listed.trust === 'unchecked' || !isBackupId(listed.id)) continue;
    if (!(await isThere(repository.storage, manifestKey(listed.id)))) found.push(inTrash(listed));
  }
  return found;
}

/** A manifest in trash as one that is hidden. */
export function inTrash(listed: ListedManifest): HiddenManifest {
  return { id: listed.id, by: 'trash', hiddenMs: listed.modifiedMs, listed };
}

function noneIfDenied(error: unknown): undefined {
  if (!isDenied(error)) throw error;
}

/** What to tell of one, and what to do about it. */
export function hiddenWarning({ id, by, hiddenMs }: Pick<HiddenManifest, 'id' | 'by' | 'hiddenMs'>): {
  readonly message: string;
  readonly hint: string;
} {
  const at = new Date(hiddenMs).toISOString();
  if (by === 'trash') {
    return {
      message: `backup ${id} lies in trash since ${at}, and nothing that counts records that lifeboat moved it there`,
      hint: `to get it back: lifeboat undelete ${id}; if it is to be deleted: lifeboat cleanup --adopt-trash ${id}`,
    };
  }
  return {
    message: `backup ${id} was hidden by a delete marker at ${at}, and nothing records that lifeboat deleted it`,
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

/** Junk of that name there would keep the true one from being found. */
async function isReadableInTrash(repository: Repository, id: string): Promise<boolean> {
  if (!(await isThere(repository.storage, trashKey(id)))) return false;
  for await (const listed of repository.listManifests({ folder: 'trash/', idPrefix: id })) {
    if (listed.id === id && listed.manifest !== undefined) return true;
  }
  return false;
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
