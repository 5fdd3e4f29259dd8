/**
 * A fingerprint of which keys there are: the sum, over all keys, of a 64-bit hash of database, type,
 * expiry and key. Independent of order and of how the server encodes values, so a reload does not change
 * it. It says nothing of values: those are compared by DEBUG DIGEST on servers that allow it. The hash is
 * not a secret-keyed one; it finds accidents, while authenticity is the repository's part.
 */
import type { RdbKey } from './walk.ts';

/** Two lanes of FNV-1a with different primes, each finished by an avalanche; added up modulo 2^64. */
export class KeyFingerprint {
  #low = 0;
  #high = 0;

  add(key: Pick<RdbKey, 'db' | 'key' | 'type' | 'expireAtMs'>): void {
    const expire = key.expireAtMs ?? -1;
    const seed = (Math.imul(key.db + 1, 0x9e3779b1) ^ Math.imul(typeNumber[key.type], 0x85ebca77)) | 0;
    let a = seed ^ 0x811c9dc5;
    let b = seed ^ 0x050c5d1f;
    for (const part of [(expire % 0x100000000) | 0, Math.floor(expire / 0x100000000) | 0]) {
      a = Math.imul(a ^ part, 0x01000193);
      a ^= a >>> 15;
      b = Math.imul(b ^ part, 0x5bd1e995);
      b ^= b >>> 13;
    }
    const bytes = key.key;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b ^ byte, 0x5bd1e995) ^ (b >>> 15);
    }
    this.#addUp(avalanche(a ^ bytes.length), avalanche(b));
  }

  /** 16 hex digits. */
  toString(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0');
  }

  #addUp(low: number, high: number): void {
    const sum = (this.#low >>> 0) + (low >>> 0);
    this.#low = sum | 0;
    this.#high = (this.#high + high + (sum > 0xffffffff ? 1 : 0)) | 0;
  }
}

const typeNumber = { string: 1, list: 2, set: 3, zset: 4, hash: 5, stream: 6, module: 7, array: 8 } as const;

function avalanche(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
