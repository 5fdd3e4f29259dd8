/**
 * Cuts a stream that comes in slabs into chunks, as its bytes come in. What is unfinished at a slab's end is copied
 * before the data of the next. Loaded by reader threads too.
 */
import { cutMasks, findCut, type ChunkSizes } from './cut-points.ts';

/**
 * Room before a slab's data, for the unfinished chunk of the slab before it: the size of the largest chunk. Rarely more
 * than a quarter of it is touched.
 */
export const headBytes = 4 * 1024 * 1024;

export interface CutOptions {
  readonly gear: Uint32Array;
  readonly sizes: ChunkSizes;
}

/** One stream. Each slab: begin, advance as often as is wanted, finish. */
export class SlabCutter {
  readonly #gear: Uint32Array;
  readonly #sizes: ChunkSizes;
  readonly #masks: { readonly strict: number; readonly loose: number };
  #slab: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #places: number[] = [];

  constructor({ gear, sizes }: CutOptions) {
    this.#gear = gear;
    this.#sizes = sizes;
    this.#masks = cutMasks(sizes);
  }

  /**
   * The next slab, whose data begins at headBytes. The one before must not have been written to since it was finished.
   */
  begin(slab: Buffer): void {
    const start = headBytes - (this.#end - this.#start);
    this.#slab.copy(slab, start, this.#start, this.#end);
    this.#slab = slab;
    this.#start = start;
    this.#end = headBytes;
    this.#places = [];
  }

  /** There is data up to `end` now. */
  advance(end: number): void {
    for (let scanned = this.#end, cut = 0; (cut = this.#nextCut(scanned, end)) !== -1; this.#start = scanned = cut) {
      this.#places.push(this.#start, cut);
    }
    this.#end = end;
  }

  /** The chunks that end in this slab: begin and end of each, one after the other. */
  finish(isLast: boolean): number[] {
    if (isLast && this.#end > this.#start) this.#places.push(this.#start, this.#end);
    return this.#places;
  }

  #nextCut(scanned: number, end: number): number {
    return findCut(
      this.#slab,
      this.#start,
      scanned,
      end,
      this.#gear,
      this.#sizes,
      this.#masks.strict,
      this.#masks.loose,
    );
  }
}
