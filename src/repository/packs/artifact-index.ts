/** The index of an artifact that is being stored: which chunks it is made of, in parts of a bounded size. */
import type { ManifestArtifact } from '../manifests/manifest.ts';
import { type ChunkPlace, IndexPartBuilder } from './index-part.ts';

/** Chunks in one index part (the format allows more): it bounds what is held, and what one look-up loads. */
const chunksPerPart = 16_384;

/** Seals a part and keeps it for storing: its key, its size in the repository and its SHA-256. */
export type SealPart = (part: number, body: Buffer) => Promise<{ object: string; bytes: number; sha256: string }>;

/** The index of one artifact while it grows; full parts are handed over. */
export class ArtifactIndex {
  newStoredBytes = 0;
  readonly #seal: SealPart;
  readonly #parts: { object: string; bytes: number; sha256: string; chunks: number }[] = [];
  #builder = new IndexPartBuilder();
  #bytes = 0;
  #chunks = 0;

  constructor(seal: SealPart) {
    this.#seal = seal;
  }

  async add(id: Buffer, place: ChunkPlace): Promise<void> {
    this.#builder.add(id, place);
    this.#bytes += place.plainLength;
    this.#chunks++;
    if (this.#builder.chunks >= chunksPerPart) await this.#end();
  }

  async finish(): Promise<{ bytes: number; chunks: number; index: ManifestArtifact['index'] }> {
    if (this.#builder.chunks > 0 || this.#parts.length === 0) await this.#end();
    return { bytes: this.#bytes, chunks: this.#chunks, index: this.#parts };
  }

  async #end(): Promise<void> {
    const builder = this.#builder;
    this.#builder = new IndexPartBuilder();
    const sealed = await this.#seal(this.#parts.length, builder.encode());
    this.#parts.push({ ...sealed, chunks: builder.chunks });
  }
}
