/**
 * Writes the files of a base backup: the next ones are received while the last ones are written, made durable and
 * closed, within bounds. Of each it remembers size and SHA-256.
 */
import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Owner } from '../../../lib/owners.ts';
import { LifeboatError, systemCodeOf } from '../../../lib/errors.ts';
import { syncFolder } from '../../../lib/fs.ts';
import { FileHasher } from './hash.ts';
import { errorOf, UnplacedContent, WrittenContent, type FileContent } from './file-content.ts';
import type { RestoredFile } from './manifest.ts';
import type { TarEntry, TarSink } from './tar.ts';

/** Files that are being made durable meanwhile. */
const filesAtOnce = 16;

export class BasePlacer {
  readonly #owner: Owner | undefined;
  readonly #folders = new Map<string, Buffer>();
  readonly #restored = new Map<string, RestoredFile>();
  readonly #ending = new Set<Promise<void>>();
  readonly #hasher = new FileHasher();
  #failure: Error | undefined;
  #root = { folder: '', prefix: '', nameOf: (path: string): string | undefined => path };
  #open: FileSink | undefined;

  constructor(owner: Owner | undefined) {
    this.#owner = owner;
  }

  /**
   * What follows goes into `folder`, which exists and which nobody else can enter meanwhile. `prefix`: how its files
   * are listed; `nameOf`: the name of a file there, undefined to leave it out.
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
    await refusingTwice(path, mkdir(target, { recursive: true, mode: 0o700 }));
    await using made = await open(target, 'r');
    await made.chmod(mode);
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
        : new WrittenContent(await this.#create(name, mode), this.#owner, this.#hasher);
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
    return refusingTwice(name, open(target, 'wx+', mode));
  }

  /** Names are bytes, whatever they mean. */
  #pathOf(path: string): Buffer {
    const { folder } = this.#root;
    return path === '' ? Buffer.from(folder) : Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, 'latin1')]);
  }
}

class FileSink implements TarSink {
  readonly #content: FileContent;
  readonly #onEnd: (ending: Promise<RestoredFile>) => Promise<void>;

  constructor(content: FileContent, onEnd: (ending: Promise<RestoredFile>) => Promise<void>) {
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

/** For folders that were empty: what stands in the way came out of the backup. Throws `integrity` (14) for that. */
export async function refusingTwice<T>(path: string, making: Promise<T>): Promise<T> {
  try {
    return await making;
  } catch (error) {
    if (!['EEXIST', 'ENOTDIR', 'EISDIR'].includes(systemCodeOf(error) ?? '')) throw error;
    const name = Buffer.from(path, 'latin1').toString();
    throw new LifeboatError('integrity', `the base backup is damaged: ${name} stands in it more than once`, {
      cause: error,
    });
  }
}
