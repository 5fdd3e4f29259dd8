/**
 * Content-defined cut points: a gear hash with normalised chunk sizes (FastCDC). The same content gives
 * the same cuts wherever it stands in a stream, so that a chunk of an earlier backup is found again.
 * Loaded by reader threads too: it imports nothing.
 */

export interface ChunkSizes {
  readonly minBytes: number;
  /** A power of two. */
  readonly avgBytes: number;
  readonly maxBytes: number;
}

export const defaultChunkSizes: ChunkSizes = { minBytes: 512 * 1024, avgBytes: 1024 * 1024, maxBytes: 4096 * 1024 };
export const smallChunkSizes: ChunkSizes = { minBytes: 64 * 1024, avgBytes: 256 * 1024, maxBytes: 1024 * 1024 };

/** Bits at the top that must be zero at a cut: two more than log2(avg) before avg, two fewer after. */
export function cutMasks(sizes: ChunkSizes): { readonly strict: number; readonly loose: number } {
  const bits = Math.log2(sizes.avgBytes);
  return { strict: topBits(bits + 2), loose: topBits(bits - 2) };
}

function topBits(count: number): number {
  return (0xffffffff << (32 - count)) >>> 0;
}

/** Bytes whose hash no cut depends on any more: the hash is a function of the last 32 bytes. */
const memory = 32;

/**
 * Looks for the next cut of the chunk that begins at `start`, where bytes up to `end` are there and
 * those before `from` have been scanned already. Returns the end of the chunk, or -1 if more bytes are
 * needed. All state is in arguments: V8 compiles this loop three times faster than a closure.
 */
export function findCut(
  buffer: Uint8Array,
  start: number,
  from: number,
  end: number,
  gear: Uint32Array,
  sizes: ChunkSizes,
  strict: number,
  loose: number,
): number {
  const min = start + sizes.minBytes;
  const avg = Math.min(end, start + sizes.avgBytes);
  const max = Math.min(end, start + sizes.maxBytes);
  let at = Math.max(min, from);
  if (at >= max) return max - start === sizes.maxBytes ? max : -1;
  let hash = warmUp(buffer, at - memory, at, gear);
  const cut = scan(buffer, at, avg, gear, strict, hash);
  if (cut !== -1) return cut;
  if (at < avg) {
    hash = warmUp(buffer, avg - memory, avg, gear);
    at = avg;
  }
  const later = scan(buffer, at, max, gear, loose, hash);
  if (later !== -1) return later;
  return max - start === sizes.maxBytes ? max : -1;
}

function warmUp(buffer: Uint8Array, from: number, to: number, gear: Uint32Array): number {
  let hash = 0;
  for (let i = from; i < to; i++) hash = ((hash << 1) + (gear[buffer[i] as number] as number)) | 0;
  return hash;
}

/** The position after the first byte at which the masked hash is zero. */
function scan(buffer: Uint8Array, from: number, to: number, gear: Uint32Array, mask: number, start: number): number {
  let hash = start;
  for (let i = from; i < to; i++) {
    hash = ((hash << 1) + (gear[buffer[i] as number] as number)) | 0;
    if ((hash & mask) === 0) return i + 1;
  }
  return -1;
}
