/**
 * A repository in a folder. An object is written to `.tmp-<random>` beside its place, fsynced, and only
 * then given its name, so that no reader ever sees half of one; the folder is fsynced before the put
 * resolves. Files are 0600, folders 0700; what the user root adds belongs to the owner of the repository's
 * folder. Nothing heavy is imported: `lifeboat list` must be quick.
 */
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, rename, statfs, unlink, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { createFile, openFile } from '../../lib/held-files.ts';
import type { HeldFolder } from '../../lib/held-folder.ts';
import { rememberPath } from '../../lib/leftovers.ts';
import { checkKey, checkPrefix } from '../key.ts';
import { ignoreAbsent, isAbsent, localError } from './errors.ts';
import { aboveOf, LocalFolders, syncEntries } from './folders.ts';
import { walk } from './list.ts';
import { publish } from './publish.ts';
import { removeTemporaries } from './temporaries.ts';
import {
  AlreadyExistsError,
  checkRange,
  maxObjectBytes,
  NotFoundError,
  StorageError,
  TooShortError,
  type ByteRange,
  type ObjectInfo,
  type PutOptions,
  type Storage,
} from '../storage.ts';

export interface LocalOptions {
  /** The root folder may be made; default false: a missing root is an error. */
  readonly create?: boolean;
  /** False: behave as on a file system without hard links (for tests). */
  readonly links?: boolean;
}

/** How often a put starts over when a cleanup removes its empty folder under its feet. */
const folderAttempts = 20;
const removesAtOnce = 16;

/** `root` is an absolute path. Touches nothing yet. */
export function openLocalStorage(root: string, options: LocalOptions = {}): Storage {
  return new LocalStorage(root, options);
}

class LocalStorage implements Storage {
  readonly location: string;
  readonly capabilities = { versions: false, objectLock: false, freeSpace: true };
  readonly #root: string;
  readonly #links: boolean;
  readonly #folders: LocalFolders;

  constructor(root: string, options: LocalOptions) {
    this.#root = root.length > 1 && root.endsWith('/') ? root.slice(0, -1) : root;
    this.#links = options.links ?? true;
    this.#folders = new LocalFolders(this.#root, options.create ?? false);
    this.location = pathToFileURL(this.#root).href;
  }

  async put(key: string, parts: readonly Uint8Array[], options: PutOptions = {}): Promise<void> {
    checkKey(this.location, key);
    const sizeBytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (sizeBytes > maxObjectBytes) {
      throw new StorageError(`cannot write ${key}: ${sizeBytes} bytes are more than an object may have`);
    }
    const temporary = `.tmp-${randomBytes(8).toString('hex')}`;
    using _ = rememberPath(join(this.#root, aboveOf(key), temporary));
    try {
      await this.#folders.requireRoot();
      await this.#ensured(aboveOf(key), async (folder) => {
        const file = await createFile(folder, temporary, { owner: this.#folders.owner });
        try {
          await writeDurably(file, parts);
          if (options.replace === true) await rename(folder.child(temporary), folder.child(basename(key)));
          else if (!(await publish(folder, temporary, basename(key), this.#links))) {
            throw new AlreadyExistsError(this.location, key);
          }
        } finally {
          await unlink(folder.child(temporary)).catch(ignoreAbsent);
        }
        // Absent: somebody removed the object and its folder meanwhile.
        await syncEntries(folder).catch(ignoreAbsent);
      });
    } catch (error) {
      throw localError(`cannot write ${key} to ${this.location}`, error);
    }
  }

  async get(key: string, range?: ByteRange): Promise<Buffer> {
    checkKey(this.location, key);
    if (range !== undefined) checkRange(key, range);
    try {
      await using file = await this.#in(key, async (folder, name) => openFile(folder, name));
      const found = await file.stat();
      if (!found.isFile()) throw new NotFoundError(this.location, key);
      const { start, end } = range ?? { start: 0, end: found.size };
      if (end > found.size) throw new TooShortError(`${key} in ${this.location}`, { start, end }, found.size);
      if (end - start > maxObjectBytes) {
        throw new StorageError(
          `cannot read ${key} in ${this.location}: ${end - start} bytes are more than an object may have`,
        );
      }
      return await readExactly(file, start, end - start);
    } catch (error) {
      throw this.#readError(key, error);
    }
  }

  async stat(key: string): Promise<ObjectInfo> {
    checkKey(this.location, key);
    try {
      const found = await this.#in(key, async (folder, name) => statObject(folder, name));
      if (!found.isFile()) throw new NotFoundError(this.location, key);
      return { key, sizeBytes: found.size, modifiedMs: found.mtimeMs };
    } catch (error) {
      throw this.#readError(key, error);
    }
  }

  async *list(prefix: string, after?: string): AsyncGenerator<ObjectInfo> {
    checkPrefix(this.location, prefix);
    try {
      // An absent disk must not look like an empty repository.
      await this.#folders.requireRoot();
      yield* this.#walk(prefix, after);
    } catch (error) {
      throw localError(`cannot list ${this.location}/${prefix}`, error);
    }
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) checkKey(this.location, key);
    try {
      await this.#folders.requireRoot();
      await forEachSideBySide(keys, removesAtOnce, async (key) =>
        this.#in(key, async (folder, name) => unlink(folder.child(name))).catch(ignoreNoFile),
      );
      for (const folder of new Set(keys.map(aboveOf))) {
        await this.#folders.within(folder, syncEntries).catch(ignoreAbsent);
        await this.#folders.removeEmpty(folder);
      }
    } catch (error) {
      throw localError(`cannot remove objects from ${this.location}`, error);
    }
  }

  async space(): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
    try {
      const { bsize, bavail, blocks } = await statfs(this.#root);
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    } catch (error) {
      throw localError(`cannot tell the free space of ${this.location}`, error);
    }
  }

  async removeStaleTemporaries(olderThanMs: number): Promise<readonly string[]> {
    try {
      await this.#folders.requireRoot();
      return await this.#folders.within('', async (root) => removeTemporaries(root, olderThanMs));
    } catch (error) {
      throw localError(`cannot remove temporary files from ${this.location}`, error);
    }
  }

  async close(): Promise<void> {
    this.#folders.close();
  }

  async *#walk(prefix: string, after: string | undefined): AsyncGenerator<ObjectInfo> {
    const cut = prefix.lastIndexOf('/') + 1;
    using folder = await this.#folders.hold(prefix.slice(0, Math.max(0, cut - 1))).catch(ignoreAbsent);
    if (folder !== undefined) yield* walk(folder, prefix.slice(0, cut), prefix, after ?? '');
  }

  async #in<T>(key: string, work: (folder: HeldFolder, name: string) => Promise<T>): Promise<T> {
    return this.#folders.within(aboveOf(key), async (folder) => work(folder, basename(key)));
  }

  async #ensured(folder: string, work: (folder: HeldFolder) => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#folders.ensure(folder);
        return await this.#folders.within(folder, work);
      } catch (error) {
        if (!isAbsent(error) || attempt === folderAttempts) throw error;
        this.#folders.forget(folder);
      }
    }
  }

  #readError(key: string, error: unknown): Error {
    if (isAbsent(error)) return new NotFoundError(this.location, key, { cause: error });
    return localError(`cannot read ${key} in ${this.location}`, error);
  }
}

async function writeDurably(file: FileHandle, parts: readonly Uint8Array[]): Promise<void> {
  try {
    let rest = parts.filter((part) => part.length > 0);
    while (rest.length > 0) {
      const { bytesWritten } = await file.writev(rest);
      rest = dropBytes(rest, bytesWritten);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Of what lies there, or of what a link that we may follow leads to. */
async function statObject(folder: HeldFolder, name: string): Promise<Stats> {
  const found = await lstat(folder.child(name));
  if (!found.isSymbolicLink()) return found;
  await using file = await openFile(folder, name);
  return await file.stat();
}

function dropBytes(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let left = bytes;
  const whole = parts.findIndex((part) => (left -= part.length) < 0);
  const cut = parts[whole];
  return cut === undefined ? [] : [cut.subarray(cut.length + left), ...parts.slice(whole + 1)];
}

async function readExactly(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(buffer, done, length - done, start + done);
    if (bytesRead === 0) throw new StorageError('the file became shorter while it was read');
    done += bytesRead;
  }
  return buffer;
}

/** A folder of that name is no object. */
function ignoreNoFile(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EISDIR') ignoreAbsent(error);
}
