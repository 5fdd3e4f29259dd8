/** Key derivation and the data key, as FORMAT's "Sealed box" and "Keys" have them (man lifeboat-repository.7). */
import { createHash, createHmac, hkdfSync } from 'node:crypto';

/** A data key: 32 random bytes, known by a random 16-byte id. Undefined stands for "no encryption" everywhere. */
export interface DataKey {
  readonly id: Buffer;
  readonly key: Buffer;
}

/** HKDF-SHA256 giving 32 bytes. */
export function derive(key: Uint8Array, salt: Uint8Array | string, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, info, 32));
}

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

export function hmacSha256(key: Uint8Array, ...parts: readonly (Uint8Array | string)[]): Buffer {
  const hmac = createHmac('sha256', key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}
