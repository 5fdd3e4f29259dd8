/**
 * How much of the packs no backup needs any more. Packs are never rewritten: what is dead in one stays until all of it
 * is.
 */
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import { decodePackTable } from '../../repository/packs/usage.ts';
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { NotFoundError, type Storage } from '../../storage/storage.ts';
import { packsKey } from '../../repository/object-keys.ts';

export interface PackShares {
  /** Of all packs that a backup uses. */
  readonly packBytes: number;
  /** At most so much of them is dead: of what several backups use of a pack, only the greatest part is known. */
  readonly deadBytes: number;
}

/** A table has 40 bytes for each pack; with more than this status would not be quick. */
const mostTableBytes = 32 * 1024 * 1024;
const sideBySide = 16;

/**
 * By the tables of the backups that are given, newest first. Undefined where they are too large to read in passing, or
 * not all can be read.
 */
export async function packShares(
  storage: Storage,
  backups: readonly ListedManifest[],
): Promise<PackShares | undefined> {
  const packs = new Map<string, { objectBytes: number; usedBytes: number }>();
  let tableBytes = 0;
  let isWhole = true;
  const add = async ({ id }: ListedManifest): Promise<void> => {
    if (!isWhole || tableBytes > mostTableBytes) return;
    try {
      const table = await storage.get(packsKey(id));
      tableBytes += table.length;
      for (const { packId, objectBytes, usedBytes } of decodePackTable(table)) {
        const name = packId.toString('latin1');
        const pack = packs.get(name);
        if (pack === undefined) packs.set(name, { objectBytes, usedBytes });
        else pack.usedBytes = Math.max(pack.usedBytes, usedBytes);
      }
    } catch (error) {
      if (!(error instanceof NotFoundError) && !(error instanceof LifeboatError && error.code === 'integrity')) {
        throw error;
      }
      isWhole = false;
    }
  };
  await forEachSideBySide(backups, sideBySide, add);
  if (!isWhole || tableBytes > mostTableBytes) return undefined;
  let packBytes = 0;
  let deadBytes = 0;
  for (const { objectBytes, usedBytes } of packs.values()) {
    packBytes += objectBytes;
    deadBytes += Math.max(0, objectBytes - usedBytes);
  }
  return { packBytes, deadBytes };
}
