/** What the main thread and the reader thread of a stream say to each other. */
import type { ChunkSizes } from './gear.ts';

export const slabFree = 0;
export const slabTaken = 1;

/** Each slab must hold a chunk of the largest size. */
export const slabBytes = 4 * 1024 * 1024;
export const slabsPerStream = 3;

/** To the thread: cut what comes out of `fd`. */
export interface ChunkJob {
  readonly fd: number;
  readonly slabs: readonly SharedArrayBuffer[];
  /** One Int32 a slab: slabFree or slabTaken; then one that is 1 when the stream is given up. */
  readonly states: SharedArrayBuffer;
  /** One BigInt64: bytes read so far, for progress and the hang alarm. */
  readonly counter: SharedArrayBuffer;
  readonly gear: Uint32Array;
  readonly sizes: ChunkSizes;
}

/** From the thread. `chunks`: offset and length by turns. */
export type WorkerMessage =
  | { readonly type: 'slab'; readonly slab: number; readonly chunks: readonly number[] }
  | { readonly type: 'end' }
  | { readonly type: 'failed'; readonly message: string };
