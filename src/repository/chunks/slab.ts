/**
 * Chunks as they lie in the buffer that they came in, and the making of such slabs of bytes that our own code makes.
 */
import { chunkIdOf } from '../box/chunk-id.ts';
import { slabBytes, slabsPerStream } from './protocol.ts';
import { type CutOptions, headBytes, SlabCutter } from './slab-cutter.ts';

export interface Chunk {
  readonly id: Buffer;
  /** Valid until its slab is released. */
  readonly plain: Uint8Array;
}

/**
 * Chunks that lie in one buffer, hashed as they are asked for, to be walked once; `release` lets the buffer be used
 * again.
 */
export interface Slab {
  readonly count: number;
  readonly chunks: Iterable<Chunk>;
  release(): void;
}

/** `places`: begin and end of each chunk in the buffer, one after the other. */
export function slabOf(
  buffer: Buffer,
  places: readonly number[],
  idKey: Buffer | undefined,
  release: () => void,
): Slab {
  return { count: places.length / 2, chunks: chunksOf(buffer, places, idKey), release };
}

function* chunksOf(buffer: Buffer, places: readonly number[], idKey: Buffer | undefined): Generator<Chunk> {
  for (let i = 0; i < places.length; i += 2) {
    const plain = buffer.subarray(places[i], places[i + 1]);
    yield { id: chunkIdOf(idKey, plain), plain };
  }
}

/** Bytes that our own code makes, through a ring of slabs. */
export class OwnSlabs {
  readonly #idKey: Buffer | undefined;
  readonly #cutter: SlabCutter;
  readonly #ring = Array.from({ length: slabsPerStream }, () => new OwnSlab());
  #n = 0;

  constructor(options: CutOptions & { readonly idKey: Buffer | undefined }) {
    this.#idKey = options.idKey;
    this.#cutter = new SlabCutter(options);
  }

  /** Resolves when there is room in the current slab. */
  get free(): Promise<void> {
    return this.#current.free;
  }

  /**
   * Takes what fits and gives back the rest; where there is one, the slab is full: `handOver`, then wait for `free`.
   */
  fill(data: Uint8Array): Uint8Array {
    return this.#current.fill(data, this.#cutter);
  }

  handOver(isLast: boolean): Slab {
    const slab = this.#current.handOver(this.#cutter, isLast, this.#idKey);
    this.#n = (this.#n + 1) % this.#ring.length;
    return slab;
  }

  get #current(): OwnSlab {
    return this.#ring[this.#n] as OwnSlab;
  }
}

class OwnSlab {
  free: Promise<void> = Promise.resolve();
  #buffer: Buffer | undefined;
  #end = 0;

  fill(data: Uint8Array, cutter: SlabCutter): Uint8Array {
    const buffer = this.#begin(cutter);
    const part = data.subarray(0, slabBytes - this.#end);
    buffer.set(part, this.#end);
    this.#end += part.length;
    cutter.advance(this.#end);
    return data.subarray(part.length);
  }

  handOver(cutter: SlabCutter, isLast: boolean, idKey: Buffer | undefined): Slab {
    const buffer = this.#begin(cutter);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.free = promise;
    this.#end = 0;
    return slabOf(buffer, cutter.finish(isLast), idKey, resolve);
  }

  #begin(cutter: SlabCutter): Buffer {
    this.#buffer ??= Buffer.allocUnsafeSlow(slabBytes);
    if (this.#end > 0) return this.#buffer;
    cutter.begin(this.#buffer);
    this.#end = headBytes;
    return this.#buffer;
  }
}
