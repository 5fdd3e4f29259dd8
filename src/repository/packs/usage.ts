/**
 * Which packs a backup uses and how much of each: the `packs` table beside its indexes, which cleanup and the next
 * backup read.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { ChunkPlace } from './index-part.ts';

/**
 * One line of the table. Bytes used: stored length of each referenced frame, once. `lockedUntil` in seconds since 1970,
 * 0 none.
 */
export interface PackUse {
  readonly packId: Buffer;
  readonly objectBytes: number;
  readonly usedBytes: number;
  readonly lockedUntil: number;
}

const entryBytes = 16 + 8 + 8 + 8;

export function encodePackTable(packs: readonly PackUse[]): Buffer {
  const bytes = Buffer.alloc(4 + packs.length * entryBytes);
  let at = bytes.writeUInt32LE(packs.length, 0);
  for (const pack of packs) {
    at += pack.packId.copy(bytes, at);
    at = bytes.writeBigUInt64LE(BigInt(pack.objectBytes), at);
    at = bytes.writeBigUInt64LE(BigInt(pack.usedBytes), at);
    at = bytes.writeBigUInt64LE(BigInt(pack.lockedUntil), at);
  }
  return bytes;
}

/** Throws (integrity) unless the bytes are exactly one table. */
export function* decodePackTable(bytes: Buffer): Generator<PackUse> {
  const count = bytes.length < 4 ? -1 : bytes.readUInt32LE(0);
  if (bytes.length !== 4 + count * entryBytes) {
    throw new LifeboatError('integrity', 'a table of packs is not well formed');
  }
  for (let at = 4; at < bytes.length; at += entryBytes) {
    yield {
      packId: Buffer.from(bytes.subarray(at, at + 16)),
      objectBytes: Number(bytes.readBigUInt64LE(at + 16)),
      usedBytes: Number(bytes.readBigUInt64LE(at + 24)),
      lockedUntil: Number(bytes.readBigUInt64LE(at + 32)),
    };
  }
}

interface Counted {
  readonly packId: Buffer;
  usedBytes: number;
  /** One bit a frame. */
  seen: Uint8Array;
}

/** Counts what a backup references, each frame once. */
export class PackUsage {
  readonly #packs = new Map<string, Counted>();

  add(place: ChunkPlace): void {
    const id = place.packId.toString('latin1');
    let pack = this.#packs.get(id);
    if (pack === undefined) {
      this.#packs.set(id, (pack = { packId: Buffer.from(place.packId), usedBytes: 0, seen: new Uint8Array(8) }));
    }
    const byte = place.frame >> 3;
    const bit = 1 << (place.frame & 7);
    if (byte >= pack.seen.length) {
      const larger = new Uint8Array(Math.max(byte + 1, pack.seen.length * 2));
      larger.set(pack.seen);
      pack.seen = larger;
    }
    if (((pack.seen[byte] as number) & bit) !== 0) return;
    pack.seen[byte] = (pack.seen[byte] as number) | bit;
    pack.usedBytes += place.storedLength;
  }

  *packs(): Generator<{ readonly packId: Buffer; readonly usedBytes: number }> {
    yield* this.#packs.values();
  }
}
