/**
 * Signatures of writers (Ed25519). Anybody can wrap a data key to a public recipient, so under such a
 * key the seal alone does not tell who wrote; a signature does. Rules: man lifeboat-repository(7), "Keys".
 */
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { derive } from './crypto.ts';

/** A writer's signing key. */
export interface Signer {
  /** 32 bytes. */
  readonly publicKey: Buffer;
  /** 64 bytes over exactly these bytes. */
  sign(bytes: Uint8Array): Buffer;
}

// DER of an Ed25519 private (PKCS #8) and public (SPKI) key up to the 32 bytes themselves, RFC 8410.
const privatePrefix = Buffer.from('302e020100300506032b657004220420', 'hex');
const publicPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** The signing key of a 32-byte seed. */
export function signerFromSeed(seed: Uint8Array): Signer {
  if (seed.length !== 32) throw new RangeError('a signing seed has 32 bytes');
  const key = createPrivateKey({ key: Buffer.concat([privatePrefix, seed]), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(publicPrefix.length);
  return { publicKey, sign: (bytes) => sign(null, bytes, key) };
}

/** The seed that a holder of a raw key, or of a passphrase stretched by scrypt, signs with. */
export function signingSeed(recipientKey: Uint8Array): Buffer {
  return derive(recipientKey, '', 'lifeboat/1/sign');
}

/**
 * True if `value` is the signature of `bytes` by `publicKey`; false for malformed ones too. Off the main thread: 0.1 ms
 * each, and `list` has hundreds.
 */
export async function isSignedBy(publicKey: Uint8Array, bytes: Uint8Array, value: Uint8Array): Promise<boolean> {
  if (publicKey.length !== 32 || value.length !== 64) return false;
  try {
    return await verifyAsync(null, bytes, publicKeyObject(Buffer.concat([publicPrefix, publicKey])), value);
  } catch {
    return false;
  }
}

const verifyAsync = promisify<null, Uint8Array, KeyObject, Uint8Array, boolean>(verify);

/** A repository has few writers: the last ones are kept. */
const publicKeys = new Map<string, KeyObject>();

function publicKeyObject(der: Buffer): KeyObject {
  const name = der.toString('latin1');
  let key = publicKeys.get(name);
  if (key === undefined) {
    key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    if (publicKeys.size >= 64) publicKeys.clear();
    publicKeys.set(name, key);
  }
  return key;
}
