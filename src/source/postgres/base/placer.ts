/**
 * Writes the files of a base backup: the next ones are received while the last ones are written, made durable and
 * closed, within bounds. Of each it remembers size and SHA-256.
 */
import { createHash } from 'node:crypto';
import { chmod, chown, mkdir, open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from '../../../lib/fs.ts';
import { FileHasher } from './hash.ts';
import type { RestoredFile } from './manifest.ts';
import type { TarEntry, TarSink } from './tar.ts';

export interface FolderOwner {
  readonly uid: number;
  readonly gid: number;
}

/** Files that are being made durable meanwhile. */
const filesAtOnce = 16;
/** Pieces of a file, of 256 KiB or so, on their way to it. */
const piecesAtOnce = 8;
/** So much more of a file is written before its hash is taken further. */
const hashBytes = 4 * 1024 * 1024;
/** So much more of a file is written before it begins to go to the disk, so that not all of it waits for the end. */
const flushBytes = 32 * 1024 * 1024;

export class BasePlacer {
  readonly #owner: FolderOwner | undefined;
  readonly #folders = new Map<string, Buffer>();
  readonly #restored = new Map<string, RestoredFile>();
  readonly #ending = new Set<Promise<void>>();
  readonly #hasher = new FileHasher();
  #failure: Error | undefined;
  #root = { folder: '', prefix: '', nameOf: (path: string): string | undefined => path };
  #open: FileSink | undefined;

  constructor(owner: FolderOwner | undefined) {
    this.#owner = owner;
  }

  /**
   * What follows goes into `folder`, which exists. `prefix`: how its files are listed; `nameOf`: the name of a file
   * there, undefined to leave it out.
   */
  root(folder: string, prefix: string, nameOf: (path: string) => string | undefined): void {
    this.#root = { folder, prefix, nameOf };
    this.#folders.set(folder, Buffer.from(folder));
  }

  /** Undefined for a folder. */
  async place(entry: TarEntry): Promise<TarSink | undefined> {
    if (this.#failure !== undefined) throw this.#failure;
    if (entry.type === 'file') return this.#file(entry.path, entry.mode);
    if (entry.path !== '') await this.makeFolder(entry.path, entry.mode);
    return undefined;
  }

  /** One file that is in no tar. */
  async copy(path: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    const sink = await this.#file(path, 0o600);
    for await (const piece of content) await sink.write(piece);
    await sink.end();
  }

  async makeFolder(path: string, mode: number): Promise<void> {
    const target = this.#pathOf(path);
    await mkdir(target, { recursive: true });
    await chmod(target, mode);
    if (this.#owner !== undefined) await chown(target, this.#owner.uid, this.#owner.gid);
    this.#folders.set(target.toString('latin1'), target);
  }

  /** Waits until all files are durable. They are listed by the path that PostgreSQL gives them, also those left out. */
  async finish(): Promise<Map<string, RestoredFile>> {
    await Promise.all(this.#ending);
    if (this.#failure !== undefined) throw this.#failure;
    return this.#restored;
  }

  async syncFolders(): Promise<void> {
    for (const folder of [...this.#folders.values()].toReversed()) await syncFolder(folder);
  }

  /** Nothing of it goes on when this resolves. */
  async abandon(): Promise<void> {
    await this.#open?.abandon();
    await Promise.all(this.#ending);
    await this.#hasher.close();
  }

  async #file(path: string, mode: number): Promise<FileSink> {
    const { prefix, nameOf } = this.#root;
    const name = nameOf(path);
    const content =
      name === undefined
        ? new UnplacedContent()
        : new FileContent(await this.#create(name, mode), this.#owner, this.#hasher);
    const sink = new FileSink(content, async (ending) => {
      this.#open = undefined;
      const ended = ending.then(
        (file) => void this.#restored.set(prefix + path, file),
        (error: unknown) => void (this.#failure ??= errorOf(error)),
      );
      this.#ending.add(ended);
      void ended.finally(() => this.#ending.delete(ended));
      if (this.#ending.size >= filesAtOnce) await Promise.race(this.#ending);
    });
    this.#open = sink;
    return sink;
  }

  async #create(name: string, mode: number): Promise<FileHandle> {
    const target = this.#pathOf(name);
    if (name.includes('/') && !this.#folders.has(dirname(target.toString('latin1')))) {
      await this.makeFolder(dirname(name), 0o700);
    }
    return open(target, 'wx+', mode);
  }

  /** Names are bytes, whatever they mean. */
  #pathOf(path: string): Buffer {
    const { folder } = this.#root;
    return path === '' ? Buffer.from(folder) : Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, 'latin1')]);
  }
}

/** Where the content of one file goes. */
interface Content {
  write(piece: Uint8Array): Promise<void> | undefined;
  /** Durable when it resolves. */
  end(): Promise<RestoredFile>;
  abandon(): Promise<void>;
}

class FileSink implements TarSink {
  readonly #content: Content;
  readonly #onEnd: (ending: Promise<RestoredFile>) => Promise<void>;

  constructor(content: Content, onEnd: (ending: Promise<RestoredFile>) => Promise<void>) {
    this.#content = content;
    this.#onEnd = onEnd;
  }

  write(piece: Uint8Array): Promise<void> | undefined {
    return this.#content.write(piece);
  }

  async end(): Promise<void> {
    await this.#onEnd(this.#content.end());
  }

  async abandon(): Promise<void> {
    await this.#content.abandon();
  }
}

/** Only taken note of. */
class UnplacedContent implements Content {
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

class FileContent implements Content {
  readonly #handle: FileHandle;
  readonly #owner: FolderOwner | undefined;
  readonly #hasher: FileHasher;
  readonly #file: number;
  readonly #writing = new Set<Promise<void>>();
  #bytes = 0;
  #toHash = hashBytes;
  #toFlush = flushBytes;
  #flushing: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(handle: FileHandle, owner: FolderOwner | undefined, hasher: FileHasher) {
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

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
