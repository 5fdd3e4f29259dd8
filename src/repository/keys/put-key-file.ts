/**
 * Putting a key file where it is believed only once it was read: everything under a data key is lost if its file does
 * not open. So the reader's own parser sees the bytes before they are put, and what the storage gives back is opened by
 * each kind of entry that this host has a key for.
 */
import { timingSafeEqual } from 'node:crypto';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { Storage } from '../../storage/storage.ts';
import type { DataKey } from '../box/crypto.ts';
import { checkSeal, damaged } from '../box/seal.ts';
import type { Signer } from '../box/signing.ts';
import { recipientOf } from './age.ts';
import { encodeKeyFile, openKeyFile, parseKeyFile, type KeyFile, type ReadKeyFile } from './file.ts';
import type { KeyMaterial } from './material.ts';

export interface NewKeyFile {
  readonly file: KeyFile;
  readonly dataKey: DataKey;
  /** Undefined: nobody vouches for it. */
  readonly signer: Signer | undefined;
}

/**
 * Puts a key file; `openers` hold what must open it: the raw key, each passphrase, and those identities that are among
 * its recipients. Throws LifeboatError `integrity` where it would not be read; one that was new is then gone again.
 */
export async function putKeyFile(
  storage: Storage,
  { file, dataKey, signer }: NewKeyFile,
  openers: KeyMaterial,
  options: { readonly replace?: boolean } = {},
): Promise<void> {
  const object = `keys/${file.id}.json`;
  const bytes = encodeKeyFile(file, dataKey, signer);
  await proveOpens(parseKeyFile(bytes, object, file.id), dataKey, openers);
  await storage.put(object, [bytes], options);
  try {
    await proveOpens(parseKeyFile(await storage.get(object), object, file.id), dataKey, openers);
  } catch (cause) {
    if (options.replace !== true) await storage.remove([object], { afterAbort: true }).catch(() => {});
    throw new LifeboatError(
      'integrity',
      `the key file of data key ${file.id}, just put into ${storage.location}, cannot be opened from there: ` +
        messageOf(cause),
      { state: 'nothing was written under it', hint: 'lifeboat doctor tries the storage', cause },
    );
  }
}

async function proveOpens(file: ReadKeyFile, dataKey: DataKey, openers: KeyMaterial): Promise<void> {
  await checkSeal(file.split, dataKey, file.object, 'key-file');
  for (const [what, material] of await eachKind(file, openers)) {
    const opened = await openKeyFile(file, material);
    if (opened === undefined || !timingSafeEqual(opened.dataKey.key, dataKey.key)) {
      throw damaged(file.object, `${what} does not open it`);
    }
  }
}

async function eachKind(file: ReadKeyFile, openers: KeyMaterial): Promise<[what: string, material: KeyMaterial][]> {
  const none: KeyMaterial = { rawKey: undefined, passphrases: [], identities: [], recipients: [], trustedKeys: [] };
  const kinds: [string, KeyMaterial][] = openers.passphrases.map((phrase) => [
    'the passphrase',
    { ...none, passphrases: [phrase] },
  ]);
  if (openers.rawKey !== undefined) kinds.push(['the raw key', { ...none, rawKey: openers.rawKey }]);
  const recipients = new Set(file.recipients.map((entry) => (entry.type === 'age' ? entry.recipient : undefined)));
  for (const identity of openers.identities) {
    if (!recipients.has(await recipientOf(identity))) continue;
    kinds.push(['the age identity', { ...none, identities: [identity] }]);
  }
  return kinds;
}
