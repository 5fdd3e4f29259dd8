/**
 * How a complete temporary file gets its final name without ever replacing another object: by link(),
 * which fails if the name is taken; on file systems without links (FAT, some network and FUSE ones) by
 * an exclusive lock file beside it and rename().
 */
import { open, link, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCodeOf } from '../../lib/errors.ts';
import { ignoreAbsent } from './errors.ts';
import { StorageError } from '../storage.ts';

/** A lock file is held for the moment of a rename; one this old belongs to a killed run. */
const lockStaleMs = 30 * 60_000;
const lockWaitMs = 10_000;

/**
 * Gives `temporary` the name `path`. False if that name is taken by another object. `temporary` may remain: the caller
 * removes it.
 */
export async function publish(temporary: string, path: string, links: boolean): Promise<boolean> {
  if (!links) return publishUnderLock(temporary, path);
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    const code = systemCodeOf(error) ?? '';
    // Over NFS a repeated call may find the link that the first one made.
    if (code === 'EEXIST') return sameFile(temporary, path);
    if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) return publishUnderLock(temporary, path);
    throw error;
  }
}

async function sameFile(a: string, b: string): Promise<boolean> {
  const [first, second] = await Promise.all([stat(a), stat(b)]);
  return first.ino === second.ino && first.dev === second.dev;
}

async function publishUnderLock(temporary: string, path: string): Promise<boolean> {
  const lock = join(dirname(path), `.lock-${basename(path)}`);
  if (!(await takeLock(lock, path, temporary))) return false;
  try {
    if (await isThere(path)) return false;
    await rename(temporary, path);
    return true;
  } finally {
    await unlink(lock).catch(ignoreAbsent);
  }
}

/** False if the object appeared while waiting for the lock. */
async function takeLock(lock: string, path: string, temporary: string): Promise<boolean> {
  const giveUpAt = performance.now() + lockWaitMs;
  for (;;) {
    if (await isThere(path)) return false;
    try {
      await (await open(lock, 'wx', 0o600)).close();
      return true;
    } catch (error) {
      if (systemCodeOf(error) !== 'EEXIST') throw error;
    }
    if (await breakStale(lock, temporary)) continue;
    if (performance.now() > giveUpAt) {
      throw new StorageError(`another process holds ${lock}`, {
        retryable: true,
        hint: `if no other lifeboat is at work there, remove that file`,
      });
    }
    await sleep(20 + Math.random() * 30);
  }
}

/** Ages are taken between stamps of one file system (the temporary is fresh): its clock may not be ours. */
async function breakStale(lock: string, temporary: string): Promise<boolean> {
  const fresh = await stat(temporary);
  const held = await stat(lock).catch(ignoreAbsent);
  if (held === undefined) return true;
  if (fresh.mtimeMs - held.mtimeMs < lockStaleMs) return false;
  await unlink(lock).catch(ignoreAbsent);
  return true;
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(ignoreAbsent)) !== undefined;
}
