/** Chunks that this backup has stored itself: runs of zeros, copied tables. Bounded; the oldest are forgotten. */
import type { ChunkPlace } from './index-part.ts';

/** About 5 MiB. */
const maxEntries = 16_384;

export class OwnChunks {
  readonly #places = new Map<string, ChunkPlace>();

  add(id: Buffer, place: ChunkPlace): void {
    this.#places.set(id.toString('latin1'), place);
    if (this.#places.size <= maxEntries) return;
    const [oldest] = this.#places.keys();
    if (oldest !== undefined) this.#places.delete(oldest);
  }

  find(id: Buffer): ChunkPlace | undefined {
    return this.#places.get(id.toString('latin1'));
  }
}
