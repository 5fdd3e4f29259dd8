/**
 * What lies beside packs and manifests in one folder for each backup: its indexes and facts, its evidence, its notes.
 */
import type { Storage } from '../../storage/storage.ts';
import { isBackupId } from '../manifests/ids.ts';

const roots = ['backups/', 'evidence/', 'notes/'] as const;

interface Folder {
  /** Stamp of its youngest object, milliseconds since 1970. */
  newestMs: number;
  bytes: number;
}

export interface UnneededFolder {
  /** Ends with a slash. */
  readonly prefix: string;
  readonly bytes: number;
}

export class FolderListing {
  readonly #folders = new Map<string, Folder>();

  add(prefix: string, bytes: number, modifiedMs: number): void {
    const folder = this.#folders.get(prefix);
    if (folder === undefined) this.#folders.set(prefix, { newestMs: modifiedMs, bytes });
    else {
      folder.newestMs = Math.max(folder.newestMs, modifiedMs);
      folder.bytes += bytes;
    }
  }

  /** Those of no backup in `known` whose every object was stored before `beforeMs`. */
  *unneeded(known: ReadonlySet<string>, beforeMs: number): Generator<UnneededFolder> {
    for (const [prefix, { newestMs, bytes }] of this.#folders) {
      const id = prefix.split('/')[1] ?? '';
      if (!known.has(id) && newestMs < beforeMs) yield { prefix, bytes };
    }
  }
}

/** Only folders that bear the id of a backup; what else lies there is nobody's business. */
export async function listFolders(storage: Storage): Promise<FolderListing> {
  const listing = new FolderListing();
  for (const root of roots) {
    for await (const { key, sizeBytes, modifiedMs } of storage.list(root)) {
      const id = key.slice(root.length).split('/')[0] ?? '';
      if (isBackupId(id)) listing.add(`${root}${id}/`, sizeBytes, modifiedMs);
    }
  }
  return listing;
}
