/**
 * The folders of a local repository. An object is durable only if every folder above it is, so the
 * first use of a folder by this process makes it and fsyncs its parent, whoever made it: another
 * process may have made it a moment ago and not have come to its fsync yet.
 */
import { mkdir, rmdir, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCodeOf } from '../../lib/errors.ts';
import { syncFolder } from '../../lib/fs.ts';
import { foreignOwner, give, giveFolder, type Owner } from '../../lib/owners.ts';
import { ignoreAbsent } from './errors.ts';
import { StorageError } from '../storage.ts';

export class LocalFolders {
  readonly #root: string;
  readonly #create: boolean;
  readonly #ready = new Map<string, Promise<void>>();
  #identity: string | undefined;
  #owner: Owner | undefined;

  /** `create`: the root may be made. Otherwise a missing root is an error: most often a disk that is not mounted. */
  constructor(root: string, create: boolean) {
    this.#root = root;
    this.#create = create;
  }

  /** The folder is there and durable when it resolves. Cheap from the second call on. */
  async ensure(folder: string): Promise<void> {
    const known = this.#ready.get(folder);
    if (known !== undefined) return known;
    const making = folder === this.#root ? this.#ensureRoot() : this.#make(folder);
    this.#ready.set(folder, making);
    making.catch(() => this.#ready.delete(folder));
    return making;
  }

  /** Gives a new file of root's to the owner of the repository. After `ensure` only. */
  adopt(file: FileHandle): void {
    give(file.fd, this.#owner);
  }

  /** What is known of this folder and those above it is no longer sure. */
  forget(folder: string): void {
    for (let path = folder; ; path = dirname(path)) {
      this.#ready.delete(path);
      if (path === this.#root || path === dirname(path)) return;
    }
  }

  /** Rejects with a StorageError if the root is not there (and may not be made). */
  async requireRoot(): Promise<void> {
    const root = await stat(this.#root).catch(ignoreAbsent);
    if (root?.isDirectory() === true || (root === undefined && this.#create)) return;
    const reason = root === undefined ? 'is not there' : 'is not a folder';
    throw new StorageError(`the repository folder ${this.#root} ${reason}`, {
      hint: 'mount its disk or correct the path; a new repository is made by: lifeboat init',
    });
  }

  /** Removes folders that have become empty, from this one upward; the root stays. */
  async removeEmpty(folder: string): Promise<void> {
    for (let path = folder; path !== this.#root && path.startsWith(`${this.#root}/`); path = dirname(path)) {
      try {
        await rmdir(path);
      } catch {
        return;
      }
      this.forget(path);
    }
  }

  async #make(folder: string): Promise<void> {
    const parent = dirname(folder);
    await this.ensure(parent);
    try {
      await mkdir(folder, { mode: 0o700 });
      giveFolder(folder, this.#owner);
    } catch (error) {
      if (systemCodeOf(error) !== 'EEXIST') throw error;
    }
    await syncEntries(parent);
  }

  async #ensureRoot(): Promise<void> {
    await this.requireRoot();
    const first = this.#create ? await mkdir(this.#root, { recursive: true, mode: 0o700 }) : undefined;
    if (first !== undefined) {
      for (let path = this.#root; path.length >= first.length; path = dirname(path)) await syncEntries(dirname(path));
    }
    const { dev, ino } = await stat(this.#root);
    this.#owner = foreignOwner(this.#root);
    // A disk that went away in the middle of a run leaves its mount point: do not fill the disk below.
    this.#identity ??= `${dev}:${ino}`;
    if (this.#identity === `${dev}:${ino}`) return;
    throw new StorageError(`the repository folder ${this.#root} is no longer the one it was when this run began`, {
      hint: 'see whether its disk is still mounted',
    });
  }
}

/** fsync of a folder; a file system that has no such thing (EINVAL) writes entries through. */
export async function syncEntries(folder: string): Promise<void> {
  try {
    await syncFolder(folder);
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP', 'EOPNOTSUPP'].includes(systemCodeOf(error) ?? '')) throw error;
  }
}
