/** Files that are either there as a whole or not at all, and folders of our own for a while. */
import { randomBytes } from 'node:crypto';
import { open, rename, statfs, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { LifeboatError } from './errors.ts';
import { fileError, spaceError } from './file-errors.ts';
import { createFile } from './held-files.ts';
import { HeldFolder } from './held-folder.ts';
import { rememberPath } from './leftovers.ts';
import type { Owner } from './owners.ts';
import { removeTree, type Identity } from './remove-tree.ts';
import { formatBytes } from './units.ts';

/**
 * Writes a file by way of a temporary one beside it, fsynced, then renamed over `path`; the folder is fsynced too.
 * Root's files belong to the owner of the folder. Throws what HeldFolder.open does, and what the file system refuses.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array | AsyncIterable<Uint8Array>,
  mode = 0o600,
): Promise<void> {
  using folder = HeldFolder.open(dirname(path));
  const temporary = `.tmp-${randomBytes(8).toString('hex')}`;
  await folder.namedLater(async () => {
    try {
      await using file = await createFile(folder, temporary, { mode });
      await file.writeFile(data);
      await file.sync();
      await rename(folder.child(temporary), folder.child(basename(path)));
    } catch (error) {
      await unlink(folder.child(temporary)).catch(() => {});
      throw error;
    }
    await syncFolder(folder.child('.'));
  });
}

/**
 * Makes a folder (0700) and what is missing above it, if need be. Root's folders belong to the owner of the one that
 * they are made in.
 */
export async function ensureFolder(path: string): Promise<void> {
  HeldFolder.open(path, { create: true })[Symbol.dispose]();
}

/**
 * A folder (0700) for a server that runs as `owner`, with what is missing above it; or an empty one that is there
 * already, root's or theirs. Returns which one it is. Throws LifeboatError `usage` (2) for another one.
 */
export function makeFolderFor(path: string, owner: Owner | undefined): Identity {
  using folder = HeldFolder.open(path, { create: true, owner });
  if (owner !== undefined && folder.stat().uid !== owner.uid) {
    if (!folder.isEmpty || folder.stat().uid !== 0) {
      throw new LifeboatError('usage', `cannot use ${path}: it belongs to somebody else, or holds files`, {
        hint: 'name a folder that is empty or not there yet',
      });
    }
    folder.giveTo(owner);
  }
  folder.setMode(0o700);
  return folder.stat();
}

/** Makes a folder's entries durable. */
export async function syncFolder(path: string | Buffer): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** A folder of ours (0700), empty, that is gone when it is disposed of, or by the next run if this one is killed. */
export interface PrivateFolder extends AsyncDisposable {
  readonly path: string;
  readonly folder: HeldFolder;
  /** The folder that it lies in. */
  readonly parent: HeldFolder;
  /** It stays. */
  keep(): void;
}

/** One that was not there: EEXIST if it was. Throws what HeldFolder.open does, and what the file system refuses. */
export function makePrivateFolder(path: string): PrivateFolder {
  // Before it exists: killed in between, the next run must know of it.
  const remembered = rememberPath(path);
  let parent: HeldFolder | undefined;
  try {
    parent = HeldFolder.open(dirname(path));
    const folder = parent.make(basename(path));
    remembered.exists(folder.stat());
    return new MadeFolder(path, folder, parent, remembered);
  } catch (error) {
    parent?.[Symbol.dispose]();
    remembered[Symbol.dispose]();
    throw error;
  }
}

class MadeFolder implements PrivateFolder {
  readonly path: string;
  readonly folder: HeldFolder;
  readonly parent: HeldFolder;
  readonly #remembered: Disposable;
  #isKept = false;

  constructor(path: string, folder: HeldFolder, parent: HeldFolder, remembered: Disposable) {
    this.path = path;
    this.folder = folder;
    this.parent = parent;
    this.#remembered = remembered;
  }

  keep(): void {
    this.#isKept = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (!this.#isKept) await removeTree(this.path, this.folder.stat());
      this.#remembered[Symbol.dispose]();
    } finally {
      for (const each of [this.folder, this.parent]) each[Symbol.dispose]();
    }
  }
}

/**
 * Runs `work` with a private folder (0700) that is gone afterwards, even if this process is killed (the next run
 * removes it). Throws LifeboatError `usage` (2) where it cannot be made, or where others could put another one in its
 * place; `space` (15) where there is no room in it.
 */
export async function withScratchFolder<T>(work: (path: string) => Promise<T>, parent = tmpdir()): Promise<T> {
  await using scratch = makeScratchFolder(join(parent, `lifeboat-${randomBytes(6).toString('hex')}`));
  try {
    return await work(scratch.path);
  } catch (error) {
    throw spaceError(error, `cannot write to the scratch folder ${scratch.path}`, anotherScratchFolder);
  }
}

/** One that is told to other programs by its path. Throws as withScratchFolder does. */
export function makeScratchFolder(path: string): PrivateFolder {
  const act = `cannot make the scratch folder ${path}`;
  try {
    refuseExchangeable(dirname(path), act);
    return makePrivateFolder(path);
  } catch (error) {
    throw fileError(error, act, { hint: anotherScratchFolder });
  }
}

/** Programs reach it by its path, so that nobody else may be able to put another one there. */
function refuseExchangeable(parent: string, act: string): void {
  using folder = HeldFolder.open(parent);
  if (folder.isSafe) return;
  throw new LifeboatError('usage', `${act}: other users can exchange what is in ${parent}`, {
    state: 'nothing was changed',
    hint: 'name a folder of this user by TMPDIR, or make it sticky (chmod +t)',
  });
}

const anotherScratchFolder = 'make room there, or name another folder that this user may write to by TMPDIR';

/** Throws LifeboatError `space` (15) when a folder's file system has less room than `neededBytes`. */
export async function requireSpace(folder: string, neededBytes: number, forWhat: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const freeBytes = bavail * bsize;
  if (freeBytes >= neededBytes) return;
  throw new LifeboatError(
    'space',
    `not enough space in ${folder} for ${forWhat}: ${formatBytes(neededBytes)} needed, ${formatBytes(freeBytes)} free`,
    { state: 'nothing was changed', hint: 'free some space there, or name another folder by TMPDIR' },
  );
}
