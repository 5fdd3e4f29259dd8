/** What the main thread and the reader thread of a stream say to each other, and the buffers they share. */
import { type CutOptions, headBytes } from './slab-cutter.ts';

export const slabFree = 0;
export const slabTaken = 1;

export const slabBytes = headBytes + 4 * 1024 * 1024;
export const slabsPerStream = 3;

/** To the thread: read what comes out of `fd`, and cut it. */
export interface ReadJob extends CutOptions {
  readonly fd: number;
  /** Comes before what is read; less than slabBytes. */
  readonly head: Uint8Array;
  /** The stream ends with a run of frames instead of the pipe; see OpenPipe in source.ts. */
  readonly frames: { readonly begin: Uint8Array; readonly read: Uint8Array } | undefined;
  readonly slabs: readonly SharedArrayBuffer[];
  /** One Int32 a slab: slabFree or slabTaken; then one that is 1 when the stream is given up. */
  readonly states: SharedArrayBuffer;
  /** One BigInt64: bytes read so far, for the hang alarm. */
  readonly counter: SharedArrayBuffer;
}

/**
 * From the thread. `places`: begin and end of each chunk that ends in the slab, one after the other; `surplus`: what
 * was read beyond the end of the frames.
 */
export type WorkerMessage =
  | {
      readonly type: 'slab';
      readonly slab: number;
      readonly places: readonly number[];
      readonly isLast: boolean;
      readonly surplus: Uint8Array;
    }
  /** `brokeOff`: the pipe ended before the artifact did. */
  | { readonly type: 'failed'; readonly message: string; readonly brokeOff: boolean };
