/** The content of one file of a base backup on its way to the disk, or only taken note of: size and SHA-256. */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { Owner } from '../../../lib/owners.ts';
import type { FileHasher } from './hash.ts';
import type { RestoredFile } from './manifest.ts';

/** Pieces of a file, of 256 KiB or so, on their way to it. */
const piecesAtOnce = 8;
/** So much more of a file is written before its hash is taken further. */
const hashBytes = 4 * 1024 * 1024;
/** So much more of a file is written before it begins to go to the disk, so that not all of it waits for the end. */
const flushBytes = 32 * 1024 * 1024;

/** Where the content of one file goes. */
export interface FileContent {
  write(piece: Uint8Array): Promise<void> | undefined;
  /** Durable when it resolves. */
  end(): Promise<RestoredFile>;
  abandon(): Promise<void>;
}

/** Of a file that is not placed. */
export class UnplacedContent implements FileContent {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  write(piece: Uint8Array): undefined {
    this.#bytes += piece.length;
    this.#hash.update(piece);
  }

  async end(): Promise<RestoredFile> {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }

  async abandon(): Promise<void> {}
}

export class WrittenContent implements FileContent {
  readonly #handle: FileHandle;
  readonly #owner: Owner | undefined;
  readonly #hasher: FileHasher;
  readonly #file: number;
  readonly #writing = new Set<Promise<void>>();
  #bytes = 0;
  #toHash = hashBytes;
  #toFlush = flushBytes;
  #flushing: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(handle: FileHandle, owner: Owner | undefined, hasher: FileHasher) {
    this.#handle = handle;
    this.#owner = owner;
    this.#hasher = hasher;
    this.#file = hasher.begin();
  }

  write(piece: Uint8Array): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    const written = writeAll(this.#handle, piece, this.#bytes).catch(
      (error: unknown) => void (this.#failure ??= errorOf(error)),
    );
    this.#bytes += piece.length;
    this.#writing.add(written);
    void written.finally(() => this.#writing.delete(written));
    if (this.#bytes >= this.#toHash) return this.#hashSoFar();
    return this.#writing.size >= piecesAtOnce ? Promise.race(this.#writing) : undefined;
  }

  async end(): Promise<RestoredFile> {
    try {
      await Promise.all([...this.#writing, this.#flushing]);
      if (this.#failure !== undefined) throw this.#failure;
      const hashed = this.#hasher.finish(this.#file, this.#handle.fd, this.#bytes);
      hashed.catch(() => {});
      if (this.#owner !== undefined) await this.#handle.chown(this.#owner.uid, this.#owner.gid);
      await this.#handle.sync();
      return { bytes: this.#bytes, sha256: await hashed };
    } finally {
      await this.#handle.close();
    }
  }

  async abandon(): Promise<void> {
    await Promise.all([...this.#writing, this.#flushing]);
    // Its thread may be reading: that ends first, so that no other file gets the number of the descriptor meanwhile.
    await this.#hasher.close();
    await this.#handle.close();
  }

  async #hashSoFar(): Promise<void> {
    this.#toHash = this.#bytes + hashBytes;
    await Promise.all(this.#writing);
    this.#hasher.written(this.#file, this.#handle.fd, this.#bytes);
    if (this.#bytes >= this.#toFlush && this.#flushing === undefined) this.#flushing = this.#flush();
  }

  /** What goes wrong here is told once only, so it is kept. */
  async #flush(): Promise<void> {
    this.#toFlush = this.#bytes + flushBytes;
    await this.#handle.datasync().catch((error: unknown) => void (this.#failure ??= errorOf(error)));
    this.#flushing = undefined;
  }
}

async function writeAll(handle: FileHandle, piece: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < piece.length;) {
    done += (await handle.write(piece, done, piece.length - done, position + done)).bytesWritten;
  }
}

/** What was thrown, as an Error. */
export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
