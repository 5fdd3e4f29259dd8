/**
 * Trash: a deleted backup's manifest rests in trash/ until the grace time has passed; all else of it stays where
 * it is, so that `undelete` only has to put the manifest back. All of this is done under the `cleanup` lease.
 */
import { LifeboatError } from '../../lib/errors.ts';
import { AlreadyExistsError, NotFoundError, type Storage } from '../../storage/storage.ts';
import { sha256 } from '../box/crypto.ts';
import { openEarlier, openTrue } from '../earlier-versions.ts';
import { nearestIds } from '../manifests/ids.ts';
import type { ListedManifest } from '../manifests/listing.ts';
import type { Manifest } from '../manifests/manifest.ts';
import { decodePackTable } from '../packs/usage.ts';
import { findLostPacks } from '../packs/reused-packs.ts';
import type { Repository } from '../repository.ts';
import { damaged, splitDocument } from '../box/seal.ts';
import { takeBack } from '../manifests/take-back.ts';
import { writeTrashRecord } from './trash-records.ts';
import { factsKey, keyCopyKey, manifestKey, packsKey, trashKey } from '../object-keys.ts';

/**
 * Moves a manifest to trash: recorded, copied afresh, whatever lies there (its grace time begins now), then deleted.
 * `stillHolds` (the lease) is asked before each step. Can be killed and repeated. Throws `integrity` if the manifest is
 * no longer the one with that seal, `not_found` if it is gone.
 */
export async function moveToTrash(
  repository: Repository,
  backup: Pick<ListedManifest, 'id' | 'seal'>,
  stillHolds: () => Promise<void>,
): Promise<void> {
  const { storage } = repository;
  const object = manifestKey(backup.id);
  const { bytes, dataKey } = await openTrue(storage, object, (stored) => {
    const { seal, members } = splitDocument(stored, object);
    if (seal !== backup.seal) throw damaged(object, 'it has changed since it was read');
    return { bytes: stored, dataKey: members['dataKey'] };
  });
  const { id, seal } = backup;
  await stillHolds();
  await writeTrashRecord(repository, { id, seal, dataKey: typeof dataKey === 'string' ? dataKey : undefined }, 'moved');
  await stillHolds();
  await storage.put(trashKey(backup.id), [bytes], { replace: true });
  await stillHolds();
  await storage.remove([object]);
}

/**
 * One deleted backup, in trash or of those that are hidden, by its full id or the unique beginning of one. Throws
 * `not_found` with the nearest ids, `usage` for an ambiguous one.
 */
export async function findInTrash(
  repository: Repository,
  text: string,
  target: string | undefined,
  hidden: readonly ListedManifest[] = [],
): Promise<ListedManifest> {
  const all: ListedManifest[] = [...hidden];
  for await (const listed of repository.listManifests({ folder: 'trash/' })) {
    if (target === undefined || listed.manifest === undefined || listed.manifest.target === target) all.push(listed);
  }
  const exact = all.find(({ id }) => id === text);
  const [found, other] = exact === undefined ? all.filter(({ id }) => text !== '' && id.startsWith(text)) : [exact];
  if (found === undefined) {
    const nearest = nearestIds(
      text,
      all.map(({ id }) => id),
    );
    throw new LifeboatError('not_found', `there is no deleted backup "${text}" in ${repository.storage.location}`, {
      state: 'nothing was changed',
      hint:
        nearest.length === 0
          ? 'nothing is in trash; lifeboat list shows the backups that are there'
          : `in trash: ${nearest.join(', ')}`,
      facts: { nearest },
    });
  }
  if (other !== undefined) {
    throw new LifeboatError(
      'usage',
      `"${text}" begins the ids of several deleted backups: ${found.id}, ${other.id}, …`,
      { hint: 'give more of the id' },
    );
  }
  return found;
}

/**
 * Puts a manifest back, then removes its copy in trash. `stillHolds` (the lease) is asked before the manifest is put
 * and once more after it, packs included: if it rejects then, the manifest is taken back. Throws `integrity` if
 * anything that it names is missing. `isHidden`: it is not in trash, but hidden by a delete marker. Cut short, it
 * leaves what the next one goes on with, and no cleanup deletes.
 */
export async function takeFromTrash(
  repository: Repository,
  manifest: Manifest,
  seal: string | undefined,
  stillHolds: () => Promise<void>,
  isHidden = false,
): Promise<void> {
  const { storage } = repository;
  const { id, dataKey } = manifest;
  const object = manifestKey(id);
  const bytes = isHidden ? await readHidden(storage, object, seal) : await readTrashed(storage, id, seal);
  await requireWhole(storage, manifest);
  await stillHolds();
  // From now on nothing that was recorded earlier lets it go.
  await writeTrashRecord(repository, { id, seal, dataKey }, 'back');
  try {
    await storage.put(object, [bytes]);
  } catch (error) {
    // A move that was cut short has left the live one, byte for byte.
    if (!(error instanceof AlreadyExistsError) || !(await storage.get(object)).equals(bytes)) throw error;
  }
  try {
    await stillHolds();
    await requireWhole(storage, manifest);
  } catch (error) {
    await takeBack(storage, object);
    throw error;
  }
  if (!isHidden) await storage.remove([trashKey(id)]);
}

/** The copy as it was read before. */
async function readTrashed(storage: Storage, id: string, seal: string | undefined): Promise<Buffer> {
  const object = trashKey(id);
  return openTrue(storage, object, (stored) => {
    if (splitDocument(stored, object).seal !== seal) throw damaged(object, 'it has changed since it was read');
    return stored;
  });
}

async function readHidden(storage: Storage, object: string, seal: string | undefined): Promise<Buffer> {
  const found = await openEarlier(storage, object, (stored) => {
    if (splitDocument(stored, object).seal !== seal) throw damaged(object, 'it is another one');
    return stored;
  });
  if (found === undefined) throw new NotFoundError(storage.location, object);
  return found.opened;
}

/** Everything the manifest names is there, with its size. Nothing is decrypted. */
async function requireWhole(storage: Storage, manifest: Manifest): Promise<void> {
  const missing = (object: string, what: string): LifeboatError =>
    new LifeboatError('integrity', `backup ${manifest.id} cannot be taken back whole: ${object} ${what}`, {
      state: 'nothing was changed',
      hint: 'lifeboat list shows the backups that are there',
    });
  const sizes = new Map<string, number>();
  for await (const { key, sizeBytes } of storage.list(`backups/${manifest.id}/`)) sizes.set(key, sizeBytes);
  const named = manifest.components.flatMap(({ artifacts }) => artifacts.flatMap(({ index }) => index));
  for (const { object, bytes } of named) {
    if (sizes.get(object) !== bytes) throw missing(object, sizes.has(object) ? 'has another size' : 'is missing');
  }
  const copies = manifest.dataKey === undefined ? [] : [keyCopyKey(manifest.id)];
  for (const object of [factsKey(manifest.id), packsKey(manifest.id), ...copies]) {
    if (!sizes.has(object)) throw missing(object, 'is missing');
  }
  const table = await readTable(storage, manifest);
  const [lost] = await findLostPacks(storage, [...decodePackTable(table)]);
  if (lost !== undefined) throw missing(lost.key, lost.what);
}

/**
 * The table of packs that a manifest names. Throws (integrity) when it is missing or another one: nobody can tell then
 * what the backup needs.
 */
export async function readTable(storage: Storage, manifest: Manifest): Promise<Buffer> {
  const object = packsKey(manifest.id);
  try {
    return await openTrue(storage, object, (table) => {
      if (sha256(table).toString('hex') !== manifest.packsSha256) {
        throw damaged(object, 'it is not what the manifest names');
      }
      return table;
    });
  } catch (error) {
    if (error instanceof NotFoundError) throw new LifeboatError('integrity', `${object} is missing`, { cause: error });
    throw error;
  }
}
