/**
 * The folders of a local repository, held open: whatever its owner links and renames in it meanwhile, nothing leads out
 * of it (lib/held-folder.ts). An object is durable only if every folder above it is, so the first use of a folder by
 * this process makes it and fsyncs its parent, whoever made it: another process may have made it a moment ago and not
 * have come to its fsync yet.
 */
import { rmdir, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { systemCodeOf } from '../../lib/errors.ts';
import { syncFolder } from '../../lib/fs.ts';
import { HeldFolder } from '../../lib/held-folder.ts';
import type { Owner } from '../../lib/owners.ts';
import { ignoreAbsent, isAbsent } from './errors.ts';
import { StorageError } from '../storage.ts';

/** Folders are named by their keys, without a slash at the end; '' is the root. */
export class LocalFolders {
  readonly #path: string;
  readonly #create: boolean;
  readonly #ready = new Map<string, Promise<void>>();
  /** Those right below the root, once they were used: nearly every object lies in one. */
  readonly #tops = new Map<string, HeldFolder>();
  #root: HeldFolder | undefined;
  #stale: HeldFolder[] = [];

  /** `create`: the root may be made. Otherwise a missing root is an error: most often a disk that is not mounted. */
  constructor(path: string, create: boolean) {
    this.#path = path;
    this.#create = create;
  }

  /** Whose the new files of root are, in a repository of another user. */
  get owner(): Owner | undefined {
    return this.#root?.owner;
  }

  /** The folder is there and durable when it resolves. Cheap from the second call on. */
  async ensure(folder: string): Promise<void> {
    const known = this.#ready.get(folder);
    if (known !== undefined) return known;
    const making = folder === '' ? this.#ensureRoot() : this.#make(folder);
    this.#ready.set(folder, making);
    making.catch(() => this.#ready.delete(folder));
    return making;
  }

  /** Runs `work` in a folder that is there; it may run twice, if it says first that something is not there. */
  async within<T>(folder: string, work: (folder: HeldFolder) => Promise<T>): Promise<T> {
    const [first, ...below] = namesOf(folder);
    if (first === undefined) return work(this.#held());
    const known = this.#tops.get(first);
    try {
      return await descend(known ?? (await this.#enterTop(first)), below, work);
    } catch (error) {
      if (known === undefined || !isAbsent(error)) throw error;
      // Another process may have removed it when it was empty, and made it anew.
      this.#tops.delete(first);
      this.#stale.push(known);
      return descend(await this.#enterTop(first), below, work);
    }
  }

  /** A folder as it is now, for who closes it again. */
  async hold(folder: string): Promise<HeldFolder> {
    let held = this.#held().again();
    for (const name of namesOf(folder)) {
      using above = held;
      held = await above.enterLater(name);
    }
    return held;
  }

  /** What is known of this folder and those above it is no longer sure. */
  forget(folder: string): void {
    for (let each = folder; each !== ''; each = aboveOf(each)) this.#ready.delete(each);
    this.#ready.delete('');
  }

  /** Rejects with a StorageError if the root is not there (and may not be made), or is not the one that it was. */
  async requireRoot(): Promise<void> {
    const found = await stat(this.#path).catch(ignoreAbsent);
    if (found === undefined && this.#create && this.#root === undefined) return;
    if (found?.isDirectory() !== true) {
      const reason = found === undefined ? 'is not there' : 'is not a folder';
      throw new StorageError(`the repository folder ${this.#path} ${reason}`, {
        hint: 'mount its disk or correct the path; a new repository is made by: lifeboat init',
      });
    }
    // A disk that went away in the middle of a run leaves its mount point: do not fill the disk below.
    const held = this.#held().stat();
    if (held.dev === found.dev && held.ino === found.ino) return;
    throw new StorageError(`the repository folder ${this.#path} is no longer the one it was when this run began`, {
      hint: 'see whether its disk is still mounted',
    });
  }

  /** Removes folders that have become empty, from this one upward; the root stays. */
  async removeEmpty(folder: string): Promise<void> {
    for (let each = folder; each !== ''; each = aboveOf(each)) {
      try {
        const name = basename(each);
        await this.within(aboveOf(each), async (above) => rmdir(above.child(name)));
      } catch {
        return;
      }
      this.forget(each);
    }
  }

  close(): void {
    for (const each of [...this.#tops.values(), ...this.#stale, this.#root]) each?.[Symbol.dispose]();
    this.#tops.clear();
    this.#stale = [];
    this.#root = undefined;
  }

  #held(): HeldFolder {
    return (this.#root ??= HeldFolder.open(this.#path));
  }

  async #enterTop(name: string): Promise<HeldFolder> {
    const entered = await this.#held().enterLater(name);
    const known = this.#tops.get(name);
    if (known === undefined) this.#tops.set(name, entered);
    else entered[Symbol.dispose]();
    return known ?? entered;
  }

  async #make(folder: string): Promise<void> {
    await this.ensure(aboveOf(folder));
    await this.within(aboveOf(folder), async (above) => {
      using _ = await above.enterLater(basename(folder), { create: true, owner: this.owner ?? 'ours' });
      await syncEntries(above);
    });
  }

  async #ensureRoot(): Promise<void> {
    await this.requireRoot();
    const made: string[] = [];
    for (let path = this.#path; (await stat(path).catch(ignoreAbsent)) === undefined; path = dirname(path)) {
      made.push(path);
    }
    this.#root ??= HeldFolder.open(this.#path, { create: true, owner: 'ours' });
    for (const path of made) {
      using above = HeldFolder.open(dirname(path));
      await syncEntries(above);
    }
  }
}

/** The key of the folder that a key lies in. */
export function aboveOf(key: string): string {
  return key.includes('/') ? dirname(key) : '';
}

function namesOf(folder: string): string[] {
  return folder === '' ? [] : folder.split('/');
}

async function descend<T>(
  top: HeldFolder,
  names: readonly string[],
  work: (folder: HeldFolder) => Promise<T>,
): Promise<T> {
  const [first, ...below] = names;
  if (first === undefined) return work(top);
  using folder = await top.enterLater(first);
  return await descend(folder, below, work);
}

/** fsync of a folder; a file system that has no such thing (EINVAL) writes entries through. */
export async function syncEntries(folder: HeldFolder): Promise<void> {
  try {
    await syncFolder(folder.child('.'));
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP', 'EOPNOTSUPP'].includes(systemCodeOf(error) ?? '')) throw error;
  }
}
