/**
 * Sealed documents as the repository uses them: which data key a document names, whether that fits the
 * configuration (configuration alone decides on encryption), and who wrote it.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { DataKey } from '../box/crypto.ts';
import type { Authenticity, Keyring } from './keyring.ts';
import { checkSeal, damaged, sealDocument, splitDocument, type SplitDocument } from '../box/seal.ts';
import type { Signer } from '../box/signing.ts';

/** A document whose seal holds. */
export interface OpenedDocument {
  /** All members but "signature" and "seal". */
  readonly members: Readonly<Record<string, unknown>>;
  readonly seal: string;
  readonly authenticity: Authenticity;
  /** Public key of the writer, base64; undefined without a signature. */
  readonly signedBy: string | undefined;
}

/** Without encryption there is no data key. */
export interface SealingKey {
  readonly dataKey: DataKey | undefined;
  readonly signer: Signer | undefined;
}

/**
 * Checks the seal of a document that was read as `object`; `keyring` is undefined without encryption. Throws
 * LifeboatError `integrity`, or `key` when its data key cannot be opened.
 */
export async function openDocument(
  bytes: Buffer,
  object: string,
  keyring: Keyring | undefined,
  backupId?: string,
): Promise<OpenedDocument> {
  return openSplit(splitDocument(bytes, object), object, keyring, backupId);
}

/** The same for a document that was taken apart already. */
export async function openSplit(
  split: SplitDocument,
  object: string,
  keyring: Keyring | undefined,
  backupId?: string,
): Promise<OpenedDocument> {
  const { dataKey: id } = split.members;
  const signedBy = split.signature?.key.toString('base64');
  if (keyring === undefined) {
    if (id !== undefined) throw damaged(object, 'it says that it is encrypted, in a repository without encryption');
    await checkSeal(split, undefined, object);
    return { members: split.members, seal: split.seal, authenticity: 'authentic', signedBy };
  }
  if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id)) {
    throw damaged(object, 'it names no data key, in an encrypted repository');
  }
  const key = await keyring.open(id, backupId);
  await checkSeal(split, key, object);
  return {
    members: split.members,
    seal: split.seal,
    authenticity: await keyring.authenticity(key, split.signature),
    signedBy,
  };
}

/**
 * Evidence, notes and audit records: `members` with format, data key and the name they are stored under, sealed and
 * signed.
 */
export function sealRecord(object: string, members: Readonly<Record<string, unknown>>, key: SealingKey): Buffer {
  const dataKey = key.dataKey === undefined ? {} : { dataKey: key.dataKey.id.toString('hex') };
  return sealDocument({ format: 1, object, ...dataKey, ...members }, key.dataKey, key.signer);
}

/** Opens what sealRecord made; refuses a record that was written under another name. */
export async function openRecord(bytes: Buffer, object: string, keyring: Keyring | undefined): Promise<OpenedDocument> {
  const opened = await openDocument(bytes, object, keyring);
  if (opened.members['format'] !== 1) {
    throw damaged(object, `format ${JSON.stringify(opened.members['format'])} is unknown to this version`);
  }
  if (opened.members['object'] !== object) {
    throw damaged(object, `it was written as ${JSON.stringify(opened.members['object'])}`);
  }
  return opened;
}

/** One sentence why a document that opened does not count; undefined for authentic ones. */
export function distrustOf(document: Pick<OpenedDocument, 'authenticity' | 'signedBy'>): string | undefined {
  if (document.authenticity === 'unsigned') {
    return 'nobody signed it, and its data key can be used by anyone who knows the public recipient';
  }
  if (document.authenticity === 'untrusted') {
    return `it is signed by ${document.signedBy}, which encryption.trustedKeys does not list`;
  }
  return undefined;
}

/** The refusal of work without a key. */
export function keyNeeded(act: string): LifeboatError {
  return new LifeboatError('key', `cannot ${act}: the repository is encrypted and no key is configured`, {
    hint: 'set BACKUP_ENCRYPTION_KEY (or _PASSPHRASE, or _IDENTITY) to the one on the recovery sheet',
  });
}
