/** Stores what belongs to one backup alone, and reads it back. */
import { LifeboatError } from '../../lib/errors.ts';
import { AlreadyExistsError, type Storage } from '../../storage/storage.ts';
import type { DataKey } from '../box/crypto.ts';
import type { BoxKind } from '../box/layout.ts';
import { checkStoredBox } from '../box/read-back.ts';

/** Stores a sealed box, as sealBox() gives its parts, and checks what lies there then. */
export async function putBox(
  { storage, dataKey }: { readonly storage: Storage; readonly dataKey: DataKey | undefined },
  key: string,
  kind: BoxKind,
  parts: readonly Uint8Array[],
): Promise<void> {
  await putOnce(storage, key, parts);
  const objectBytes = parts.reduce((sum, part) => sum + part.length, 0);
  const directoryBytes = (parts.at(-2) as Uint8Array).length;
  await checkStoredBox(storage, key, { kind, dataKey, objectBytes, directoryBytes, frame: 0 });
}

/**
 * Stores an object that must not be there yet. Backup ids are random: another one under this name is of a backup with
 * the same id. Throws `storage` (20) then.
 */
export async function putOnce(storage: Storage, key: string, parts: readonly Uint8Array[]): Promise<void> {
  try {
    await storage.put(key, parts);
  } catch (error) {
    if (!(error instanceof AlreadyExistsError)) throw error;
    throw new LifeboatError('storage', `${key} exists already`, {
      hint: 'two backups cannot share an id; run the backup again',
      cause: error,
    });
  }
}
