/** Files that are either there as a whole or not at all. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, statfs, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { LifeboatError } from './errors.ts';
import { spaceError, tellingFileErrors } from './file-errors.ts';
import { rememberPath } from './leftovers.ts';
import { foreignOwner, give, giveNewFolders } from './owners.ts';
import { formatBytes } from './units.ts';

/**
 * Writes a file by way of a temporary one beside it, fsynced, then renamed over `path`; the folder is fsynced too.
 * Root's files belong to the owner of the folder.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = join(dirname(path), `.tmp-${randomBytes(8).toString('hex')}`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      give(file.fd, foreignOwner(dirname(path)));
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(path));
}

/**
 * Makes a folder (0700) and what is missing above it, if need be. Root's folders belong to the owner of the one that
 * they are made in.
 */
export async function ensureFolder(path: string): Promise<void> {
  giveNewFolders(await mkdir(path, { recursive: true, mode: 0o700 }), path);
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

/**
 * Runs `work` with a private folder (0700) that is gone afterwards, even if this process is killed (the next run
 * removes it). Throws LifeboatError `usage` (2) where it cannot be made, `space` (15) where there is no room in it.
 */
export async function withScratchFolder<T>(work: (path: string) => Promise<T>, parent = tmpdir()): Promise<T> {
  const path = join(parent, `lifeboat-${randomBytes(6).toString('hex')}`);
  // Before it exists: killed in between, the next run must know of it.
  using _ = rememberPath(path);
  await tellingFileErrors(`cannot make the scratch folder ${path}`, { hint: anotherScratchFolder }, async () =>
    mkdir(path, { mode: 0o700 }),
  );
  try {
    return await work(path);
  } catch (error) {
    throw spaceError(error, `cannot write to the scratch folder ${path}`, anotherScratchFolder);
  } finally {
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  }
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
