/**
 * Sealed JSON documents: manifests, key files, evidence, notes and audit records. Pretty-printed JSON
 * whose last member is a seal (HMAC under the data key) over every byte before it and whose last but
 * one may be a writer's signature; so `cat` shows everything and a changed byte is noticed.
 * Layout: man lifeboat-repository(7), "Sealed documents".
 */
import { timingSafeEqual } from 'node:crypto';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import { parseJson } from '../../lib/json.ts';
import { derive, hmacSha256, sha256, type DataKey } from './crypto.ts';
import { isSignedBy, type Signer } from './signing.ts';

/** What the seal's key is derived for. */
export type SealPurpose = 'manifest' | 'key-file';

export interface DocumentSignature {
  /** 32 bytes. */
  readonly key: Buffer;
  /** 64 bytes. */
  readonly value: Buffer;
}

/** A document taken apart; nothing is checked but its layout. */
export interface SplitDocument {
  /** All members but "signature" and "seal". */
  readonly members: Readonly<Record<string, unknown>>;
  /** 64 hex digits. */
  readonly seal: string;
  readonly sealedBytes: Buffer;
  readonly signature: DocumentSignature | undefined;
  readonly signedBytes: Buffer | undefined;
}

/**
 * Serialises, signs (with a signer) and seals. Without a data key the seal is a plain SHA-256. Members "seal" and
 * "signature" must not be there yet.
 */
export function sealDocument(
  document: object,
  dataKey: DataKey | undefined,
  signer: Signer | undefined,
  purpose: SealPurpose = 'manifest',
): Buffer {
  if ('seal' in document || 'signature' in document) throw new TypeError('the document is sealed already');
  const open = Buffer.from(`${JSON.stringify(document, undefined, 2).slice(0, -2)},\n`);
  const signed = signer === undefined ? open : Buffer.concat([open, signatureMember(signer, open)]);
  return Buffer.concat([signed, Buffer.from(`  "seal": "${sealOf(signed, dataKey, purpose).toString('hex')}"\n}\n`)]);
}

/** Manifests are the largest: what is parsed takes many times as much memory. */
const maxDocumentBytes = 4 * 1024 * 1024;

/**
 * Takes a document apart. Throws LifeboatError `integrity` ("… is damaged: …", named by `object`) if it is not laid out
 * as a sealed document.
 */
export function splitDocument(bytes: Buffer, object: string): SplitDocument {
  if (bytes.length > maxDocumentBytes) throw damaged(object, `${bytes.length} bytes are too many`);
  const tail = bytes.subarray(Math.max(0, bytes.length - tailBytes)).toString('latin1');
  const sealed = sealPattern.exec(tail);
  if (sealed === null) throw damaged(object, 'it does not end in a seal');
  const { seal: sealMember, signature: signatureMember, ...members } = parseObject(bytes, object);
  const seal = sealed[1] ?? '';
  if (sealMember !== seal) throw damaged(object, 'it holds two seals');
  const sealedBytes = bytes.subarray(0, bytes.length - tail.length + sealed.index + 1);
  if (signatureMember === undefined) {
    return { members, seal, sealedBytes, signature: undefined, signedBytes: undefined };
  }
  const line = signaturePattern.exec(tail.slice(0, sealed.index + 1));
  const signature = parseSignature(signatureMember);
  if (
    line === null ||
    signature === undefined ||
    line[1] !== signature.key.toString('base64') ||
    line[2] !== signature.value.toString('base64')
  ) {
    throw damaged(object, 'its signature is malformed');
  }
  return {
    members,
    seal,
    sealedBytes,
    signature,
    signedBytes: bytes.subarray(0, bytes.length - tail.length + line.index + 1),
  };
}

/** Rejects with LifeboatError `integrity` unless the seal is right and the signature, if there is one, verifies. */
export async function checkSeal(
  document: SplitDocument,
  dataKey: DataKey | undefined,
  object: string,
  purpose: SealPurpose = 'manifest',
): Promise<void> {
  if (!timingSafeEqual(sealOf(document.sealedBytes, dataKey, purpose), Buffer.from(document.seal, 'hex'))) {
    throw damaged(object, 'its seal does not match');
  }
  const { signature, signedBytes } = document;
  if (signature === undefined || signedBytes === undefined) return;
  if (!(await isSignedBy(signature.key, signedBytes, signature.value))) {
    throw damaged(object, 'its signature does not match');
  }
}

/** The failure of everything that is not as it was written. */
export function damaged(object: string, reason: string, cause?: unknown): LifeboatError {
  return new DamagedError(object, reason, cause);
}

/** An object that is not as it was written. */
export class DamagedError extends LifeboatError {
  readonly object: string;
  /** One sentence that does not name it again. */
  readonly reason: string;

  constructor(object: string, reason: string, cause?: unknown) {
    super('integrity', `${object} is damaged: ${reason}`, { cause });
    this.object = object;
    this.reason = reason;
  }
}

/** What an error says of `object`, for a message that has named it already. */
export function reasonFor(object: string, error: unknown): string {
  return error instanceof DamagedError && error.object === object ? error.reason : messageOf(error);
}

// Enough for a signature in any layout and the seal.
const tailBytes = 1024;
const sealPattern = /\n {2}"seal": "([0-9a-f]{64})"\n\}\n$/;
const signaturePattern = /\n {2}"signature": \{\s*"key": "([A-Za-z0-9+/=]*)",\s*"value": "([A-Za-z0-9+/=]*)"\s*\},\n$/;

function sealOf(bytes: Uint8Array, dataKey: DataKey | undefined, purpose: SealPurpose): Buffer {
  return dataKey === undefined ? sha256(bytes) : hmacSha256(sealKey(dataKey, purpose), bytes);
}

const sealKeys = new WeakMap<Buffer, Map<SealPurpose, Buffer>>();

/** Derived once for each data key: `list` checks hundreds of seals. */
function sealKey({ key }: DataKey, purpose: SealPurpose): Buffer {
  const known = sealKeys.get(key) ?? new Map<SealPurpose, Buffer>();
  sealKeys.set(key, known);
  const derived = known.get(purpose) ?? derive(key, '', `lifeboat/1/${purpose}`);
  known.set(purpose, derived);
  return derived;
}

function signatureMember(signer: Signer, bytes: Uint8Array): Buffer {
  const signature = { key: signer.publicKey.toString('base64'), value: signer.sign(bytes).toString('base64') };
  return Buffer.from(`  "signature": ${JSON.stringify(signature, undefined, 2).replaceAll('\n', '\n  ')},\n`);
}

function parseObject(bytes: Buffer, object: string): Record<string, unknown> {
  try {
    const value: unknown = parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw damaged(object, 'it is not JSON', cause);
  }
  throw damaged(object, 'it is not a JSON object');
}

function parseSignature(value: unknown): DocumentSignature | undefined {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 2) return undefined;
  const { key, value: signature } = value as Record<string, unknown>;
  if (typeof key !== 'string' || typeof signature !== 'string') return undefined;
  return { key: Buffer.from(key, 'base64'), value: Buffer.from(signature, 'base64') };
}
