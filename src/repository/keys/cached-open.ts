/**
 * Opening a key file with what is configured. Stretching a passphrase takes 250 ms, which `wal push` could not afford:
 * what it opened is kept for a day, and the file's seal proves the kept key.
 */
import { checkSeal } from '../box/seal.ts';
import type { DataKey } from '../box/crypto.ts';
import type { RepositoryState } from '../host-state.ts';
import { openKeyFile, type OpenedBy, type ReadKeyFile } from './file.ts';
import type { KeyMaterial } from './material.ts';

/** A data key with what is known of its file. */
export interface OpenedKey extends DataKey {
  readonly createdAt: string;
  /** 'own': this host made it and still has it, but could not open its key file. */
  readonly openedBy: OpenedBy | 'own';
}

/**
 * Undefined when no entry opens; throws LifeboatError `integrity` when one opens but the file's seal is wrong.
 */
export async function openWithCache(
  file: ReadKeyFile,
  material: KeyMaterial,
  state: RepositoryState,
): Promise<OpenedKey | undefined> {
  return (await openKept(file, material, state)) ?? (await openAnew(file, material, state));
}

async function openAnew(
  file: ReadKeyFile,
  material: KeyMaterial,
  state: RepositoryState,
): Promise<OpenedKey | undefined> {
  const opened = await openKeyFile(file, material);
  if (opened === undefined) return undefined;
  const passphrase = material.passphrases[0];
  if (opened.openedBy === 'passphrase' && passphrase !== undefined && material.passphrases.length === 1) {
    await state.cacheSecret(file.id, passphrase, opened.dataKey.key);
  }
  return { ...opened.dataKey, createdAt: file.createdAt, openedBy: opened.openedBy };
}

async function openKept(
  file: ReadKeyFile,
  material: KeyMaterial,
  state: RepositoryState,
): Promise<OpenedKey | undefined> {
  const passphrase = material.passphrases[0];
  if (passphrase === undefined || !file.recipients.some((entry) => entry.type === 'passphrase')) return undefined;
  const key = await state.cachedSecret(file.id, passphrase);
  if (key === undefined) return undefined;
  const dataKey = { id: Buffer.from(file.id, 'hex'), key };
  await checkSeal(file.split, dataKey, file.object, 'key-file');
  return { ...dataKey, createdAt: file.createdAt, openedBy: 'passphrase' };
}
