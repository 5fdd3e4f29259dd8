/**
 * How a complete temporary file gets its final name without ever replacing another object: by link(),
 * which fails if the name is taken; on file systems without links (FAT, some network and FUSE ones) by
 * rename(), under a lock of files beside it.
 *
 * Each who wants the lock writes a file of its own name, then looks for others': who sees any takes its own away and
 * tries again, so that at most one goes on. What a killed run left is removed by that run's own name, which no other
 * lock ever has: were there one name for all, two could find the same stale file, and the slower one would remove what
 * the quicker one had put in its place.
 */
import { randomBytes } from 'node:crypto';
import { open, link, readdir, rename, stat, unlink } from 'node:fs/promises';
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
  const own = join(dirname(path), `.lock-${basename(path)}.${randomBytes(8).toString('hex')}`);
  try {
    if (!(await takeLock(own, path, temporary))) return false;
    // Once more: it may have come before we had the lock, and ours be broken if we were suspended since.
    if (await isThere(path)) return false;
    if (!(await isThere(own))) throw lockedBy(`the lock of ${path}`);
    await rename(temporary, path);
    return true;
  } finally {
    await unlink(own).catch(ignoreAbsent);
  }
}

/** False if the object appeared while waiting for the lock. */
async function takeLock(own: string, path: string, temporary: string): Promise<boolean> {
  const giveUpAt = performance.now() + lockWaitMs;
  for (;;) {
    if (await isThere(path)) return false;
    let rival = await rivalOf(own, path, temporary);
    if (rival === undefined) {
      await (await open(own, 'wx', 0o600)).close();
      rival = await rivalOf(own, path, temporary);
      if (rival === undefined) return true;
      await unlink(own).catch(ignoreAbsent);
    }
    if (performance.now() > giveUpAt) throw lockedBy(rival);
    await sleep(20 + Math.random() * 30);
  }
}

/**
 * Another's lock file for the same object; stale ones are removed. Ages are taken between stamps of one file system
 * (the temporary is fresh): its clock may not be ours.
 */
async function rivalOf(own: string, path: string, temporary: string): Promise<string | undefined> {
  const prefix = `.lock-${basename(path)}.`;
  for (const name of await readdir(dirname(path))) {
    const lock = join(dirname(path), name);
    if (lock === own || !name.startsWith(prefix) || !/^[0-9a-f]{16}$/.test(name.slice(prefix.length))) continue;
    const held = await stat(lock).catch(ignoreAbsent);
    if (held === undefined) continue;
    if ((await stat(temporary)).mtimeMs - held.mtimeMs < lockStaleMs) return lock;
    await unlink(lock).catch(ignoreAbsent);
  }
  return undefined;
}

function lockedBy(lock: string): StorageError {
  return new StorageError(`another process holds ${lock}`, {
    retryable: true,
    hint: `if no other lifeboat is at work there, remove that file`,
  });
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(ignoreAbsent)) !== undefined;
}
