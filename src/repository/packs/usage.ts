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
  /** By 32 frames, one bit each: the numbers are foreign, so no table is made as long as one of them says. */
  readonly seen: Map<number, number>;
}

/** Counts what a backup references, each frame once. */
export class PackUsage {
  readonly #packs = new Map<string, Counted>();

  add(place: ChunkPlace): void {
    const id = place.packId.toString('latin1');
    let pack = this.#packs.get(id);
    if (pack === undefined) {
      this.#packs.set(id, (pack = { packId: Buffer.from(place.packId), usedBytes: 0, seen: new Map() }));
    }
    const group = place.frame >>> 5;
    const bit = 1 << (place.frame & 31);
    const seen = pack.seen.get(group) ?? 0;
    if ((seen & bit) !== 0) return;
    pack.seen.set(group, seen | bit);
    pack.usedBytes += place.storedLength;
  }

  *packs(): Generator<{ readonly packId: Buffer; readonly usedBytes: number }> {
    yield* this.#packs.values();
  }
}
