/**
 * Key files: one data key, wrapped once for each recipient (raw key, passphrase, age), sealed under
 * itself. Pure of storage; which file is read or written is the keyring's business.
 * Layout: man lifeboat-repository(7), "Keys".
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { faultIn } from '../../config/schema-words.ts';
import { uncompiled } from '../../config/uncompiled.ts';
import { decryptWithIdentities, encryptToRecipient } from './age.ts';
import { derive, type DataKey } from '../box/crypto.ts';
import type { KeyMaterial } from './material.ts';
import { openStretched, stretchPassphrase } from './stretch.ts';
import type { Signer } from '../box/signing.ts';
import { checkSeal, damaged, sealDocument, splitDocument, type SplitDocument } from '../box/seal.ts';

const base64Of = (bytes: number): z.ZodString =>
  z
    .string()
    .regex(new RegExp(`^[A-Za-z0-9+/]{${Math.ceil((bytes * 4) / 3)}}={0,2}$`))
    .length(Math.ceil(bytes / 3) * 4);
const entrySchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('raw'), salt: base64Of(32), wrapped: base64Of(48) }),
  z.strictObject({
    type: z.literal('passphrase'),
    scryptSalt: base64Of(16),
    salt: base64Of(32),
    wrapped: base64Of(48),
  }),
  z.strictObject({ type: z.literal('age'), recipient: z.string().max(4096), file: z.base64().max(65_536) }),
]);
const keyFileSchema = z.strictObject({
  format: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{32}$/),
  createdAt: z.iso.datetime(),
  recipients: z.array(entrySchema).min(1).max(1000),
});

/** One way to open a data key. */
export type KeyEntry = z.infer<typeof entrySchema>;

export interface KeyFile {
  /** 32 hex digits. */
  readonly id: string;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
  readonly recipients: readonly KeyEntry[];
}

/** A key file as read: its seal can only be checked with the key in it. */
export interface ReadKeyFile extends KeyFile {
  readonly object: string;
  readonly split: SplitDocument;
}

/** By which kind of entry a data key was opened; decides whether signatures are needed, see Keyring.authenticity. */
export type OpenedBy = KeyEntry['type'];

/** Key files larger than this are refused. */
export const maxKeyFileBytes = 1024 * 1024;

/** Each costs a quarter of a second for each passphrase that is tried; a file with more is refused. */
export const maxPassphraseEntries = 16;

export function newDataKey(): DataKey {
  return { id: randomBytes(16), key: randomBytes(32) };
}

/** Wraps a data key for the raw key, each passphrase and each recipient of the material. */
export async function wrapDataKey(
  dataKey: DataKey,
  material: Pick<KeyMaterial, 'rawKey' | 'passphrases' | 'recipients'>,
): Promise<KeyEntry[]> {
  const entries: KeyEntry[] = [];
  if (material.rawKey !== undefined) entries.push({ type: 'raw', ...wrap(dataKey, material.rawKey) });
  for (const passphrase of material.passphrases) {
    const scryptSalt = randomBytes(16);
    entries.push({
      type: 'passphrase',
      scryptSalt: scryptSalt.toString('base64'),
      ...wrap(dataKey, await stretchPassphrase(passphrase, scryptSalt)),
    });
  }
  for (const recipient of material.recipients) {
    entries.push({
      type: 'age',
      recipient,
      file: (await encryptToRecipient(dataKey.key, recipient)).toString('base64'),
    });
  }
  return entries;
}

/** The bytes of a key file, signed by who makes it (undefined: by nobody), and sealed under the data key itself. */
export function encodeKeyFile(file: KeyFile, dataKey: DataKey, signer: Signer | undefined): Buffer {
  const { id, createdAt, recipients } = file;
  return sealDocument({ format: 1, id, createdAt, recipients }, dataKey, signer, 'key-file');
}

/**
 * Parses a key file that was read as `object` (for messages); `expectedId` is the id its name gives, if the name gives
 * one. Throws LifeboatError `integrity`.
 */
export function parseKeyFile(bytes: Buffer, object: string, expectedId: string | undefined): ReadKeyFile {
  if (bytes.length > maxKeyFileBytes) throw damaged(object, `${bytes.length} bytes are too many`);
  const split = splitDocument(bytes, object);
  const parsed = keyFileSchema.safeParse(split.members, uncompiled);
  if (!parsed.success) {
    throw damaged(object, unknownFormat(split.members) ?? `it is not a key file: ${faultIn(parsed.error)}`);
  }
  const passphrases = countPassphrases(parsed.data.recipients);
  if (passphrases > maxPassphraseEntries) {
    throw damaged(object, `it has ${passphrases} entries for passphrases, over the limit of ${maxPassphraseEntries}`);
  }
  if (expectedId !== undefined && parsed.data.id !== expectedId) {
    throw damaged(object, `it is the key file of ${parsed.data.id}`);
  }
  return { id: parsed.data.id, createdAt: parsed.data.createdAt, recipients: parsed.data.recipients, object, split };
}

/** How many entries a passphrase has to be stretched for. */
export function countPassphrases(entries: readonly KeyEntry[]): number {
  return entries.filter(({ type }) => type === 'passphrase').length;
}

/**
 * Opens a key file with whatever of the material fits: raw key, then passphrases, then age identities.
 * Undefined when no entry opens; throws LifeboatError `integrity` when one opens but the file's seal is wrong, `key`
 * where passphrases have been stretched in vain too often.
 */
export async function openKeyFile(
  file: ReadKeyFile,
  material: KeyMaterial,
): Promise<{ readonly dataKey: DataKey; readonly openedBy: OpenedBy } | undefined> {
  for (const type of ['raw', 'passphrase', 'age'] as const) {
    for (const entry of file.recipients) {
      if (entry.type !== type) continue;
      const key = await openEntry(entry, file.id, material);
      if (key === undefined) continue;
      const dataKey = { id: Buffer.from(file.id, 'hex'), key };
      await checkSeal(file.split, dataKey, file.object, 'key-file');
      return { dataKey, openedBy: type };
    }
  }
  return undefined;
}

/** True if `material` (its raw key, passphrases or listed recipients) is what this entry was wrapped for. */
export async function entryBelongsTo(entry: KeyEntry, keyId: string, material: KeyMaterial): Promise<boolean> {
  if (entry.type === 'age') return material.recipients.includes(entry.recipient);
  return (await openEntry(entry, keyId, { ...material, identities: [] })) !== undefined;
}

async function openEntry(entry: KeyEntry, keyId: string, material: KeyMaterial): Promise<Buffer | undefined> {
  if (entry.type === 'raw') return material.rawKey === undefined ? undefined : unwrap(entry, keyId, material.rawKey);
  if (entry.type === 'age') {
    if (material.identities.length === 0) return undefined;
    const key = await decryptWithIdentities(Buffer.from(entry.file, 'base64'), material.identities);
    return key?.length === 32 ? key : undefined;
  }
  for (const passphrase of material.passphrases) {
    const salt = Buffer.from(entry.scryptSalt, 'base64');
    const key = await openStretched(passphrase, salt, keyId, (stretched) => unwrap(entry, keyId, stretched));
    if (key !== undefined) return key;
  }
  return undefined;
}

// The wrapping key has a random salt and is used once, so the nonce may be constant.
const wrapNonce = Buffer.alloc(12);

function wrap(dataKey: DataKey, recipientKey: Buffer): { salt: string; wrapped: string } {
  const salt = randomBytes(32);
  const cipher = createCipheriv('aes-256-gcm', derive(recipientKey, salt, 'lifeboat/1/wrap'), wrapNonce);
  cipher.setAAD(dataKey.id);
  const wrapped = Buffer.concat([cipher.update(dataKey.key), cipher.final(), cipher.getAuthTag()]);
  return { salt: salt.toString('base64'), wrapped: wrapped.toString('base64') };
}

function unwrap(
  entry: { readonly salt: string; readonly wrapped: string },
  keyId: string,
  recipientKey: Buffer,
): Buffer | undefined {
  const wrapped = Buffer.from(entry.wrapped, 'base64');
  if (wrapped.length !== 48) return undefined;
  const decipher = createDecipheriv(
    'aes-256-gcm',
    derive(recipientKey, Buffer.from(entry.salt, 'base64'), 'lifeboat/1/wrap'),
    wrapNonce,
    { authTagLength: 16 },
  );
  decipher.setAAD(Buffer.from(keyId, 'hex'));
  decipher.setAuthTag(wrapped.subarray(32));
  const key = decipher.update(wrapped.subarray(0, 32));
  try {
    decipher.final();
    return key;
  } catch {
    return undefined;
  }
}

/** Tells a later format from damage: the hint differs. */
function unknownFormat(members: Readonly<Record<string, unknown>>): string | undefined {
  return typeof members['format'] === 'number' && members['format'] !== 1
    ? `format ${members['format']} is unknown to this version`
    : undefined;
}
