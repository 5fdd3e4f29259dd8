/** Cuts a stream that comes in slabs into chunks. What is unfinished at a slab's end is copied before the data of the next. */
import { chunkIdOf } from './box.ts';
import { headBytes } from './chunk-protocol.ts';
import { cutMasks, findCut, type ChunkSizes } from './gear.ts';

export interface Chunk {
  readonly id: Buffer;
  /** Valid until its slab is released. */
  readonly plain: Uint8Array;
}

/** Chunks that lie in one buffer, hashed as they are asked for, to be walked once; `release` lets the buffer be used again. */
export interface Slab {
  readonly count: number;
  readonly chunks: Iterable<Chunk>;
  release(): void;
}

export interface CutOptions {
  readonly gear: Uint32Array;
  readonly idKey: Buffer | undefined;
  readonly sizes: ChunkSizes;
}

export class SlabCutter {
  readonly #options: CutOptions;
  readonly #masks: { readonly strict: number; readonly loose: number };
  #rest: { readonly bytes: Buffer; readonly done: () => void } | undefined;

  constructor(options: CutOptions) {
    this.#options = options;
    this.#masks = cutMasks(options.sizes);
  }

  /** The chunks that end in this buffer's data (from headBytes to `end`). `free` is called once they are released and the rest is copied on. */
  cut(buffer: Buffer, end: number, isLast: boolean, free: () => void): Slab {
    const { gear, sizes, idKey } = this.#options;
    const places: number[] = [];
    let start = headBytes - this.#takeRest(buffer);
    for (let scanned = headBytes, cut = 0; (cut = findCut(buffer, start, scanned, end, gear, sizes, this.#masks.strict, this.#masks.loose)) !== -1; start = scanned = cut) places.push(start, cut - start);
    if (isLast && end > start) places.push(start, end - start);
    let users = isLast ? 1 : 2;
    const release = (): void => {
      if (--users === 0) free();
    };
    if (!isLast) this.#rest = { bytes: buffer.subarray(start, end), done: release };
    return { count: places.length / 2, chunks: chunksOf(buffer, places, idKey), release };
  }

  #takeRest(buffer: Buffer): number {
    const rest = this.#rest;
    if (rest === undefined) return 0;
    rest.bytes.copy(buffer, headBytes - rest.bytes.length);
    rest.done();
    this.#rest = undefined;
    return rest.bytes.length;
  }
}

function* chunksOf(slab: Buffer, places: readonly number[], idKey: Buffer | undefined): Generator<Chunk> {
  for (let i = 0; i < places.length; i += 2) {
    const offset = places[i] as number;
    const plain = slab.subarray(offset, offset + (places[i + 1] as number));
    yield { id: chunkIdOf(idKey, plain), plain };
  }
}
