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
import { link, lstat, readdir, rename, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCodeOf } from '../../lib/errors.ts';
import { createFile } from '../../lib/held-files.ts';
import type { HeldFolder } from '../../lib/held-folder.ts';
import { ignoreAbsent } from './errors.ts';
import { StorageError } from '../storage.ts';

/** A lock file is held for the moment of a rename; one this old belongs to a killed run. */
const lockStaleMs = 30 * 60_000;
const lockWaitMs = 10_000;

/**
 * Gives `temporary` the name `name`, both in `folder`. False if that name is taken by another object. `temporary` may
 * remain: the caller removes it.
 */
export async function publish(folder: HeldFolder, temporary: string, name: string, links: boolean): Promise<boolean> {
  if (!links) return publishUnderLock(folder, temporary, name);
  try {
    await link(folder.child(temporary), folder.child(name));
    return true;
  } catch (error) {
    const code = systemCodeOf(error) ?? '';
    // Over NFS a repeated call may find the link that the first one made.
    if (code === 'EEXIST') return sameFile(folder.child(temporary), folder.child(name));
    if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) {
      return publishUnderLock(folder, temporary, name);
    }
    throw error;
  }
}

async function sameFile(a: string, b: string): Promise<boolean> {
  const [first, second] = await Promise.all([lstat(a), lstat(b)]);
  return first.ino === second.ino && first.dev === second.dev;
}

async function publishUnderLock(folder: HeldFolder, temporary: string, name: string): Promise<boolean> {
  const own = `${lockPrefix(name)}${randomBytes(8).toString('hex')}`;
  try {
    if (!(await takeLock(folder, own, name, temporary))) return false;
    // Once more: it may have come before we had the lock, and ours be broken if we were suspended since.
    if (await isThere(folder, name)) return false;
    if (!(await isThere(folder, own))) throw lockedBy(`the lock of ${folder.path}/${name}`);
    await rename(folder.child(temporary), folder.child(name));
    return true;
  } finally {
    await unlink(folder.child(own)).catch(ignoreAbsent);
  }
}

/** False if the object appeared while waiting for the lock. */
async function takeLock(folder: HeldFolder, own: string, name: string, temporary: string): Promise<boolean> {
  const giveUpAt = performance.now() + lockWaitMs;
  for (;;) {
    if (await isThere(folder, name)) return false;
    let rival = await rivalOf(folder, own, name, temporary);
    if (rival === undefined) {
      await (await createFile(folder, own)).close();
      rival = await rivalOf(folder, own, name, temporary);
      if (rival === undefined) return true;
      await unlink(folder.child(own)).catch(ignoreAbsent);
    }
    if (performance.now() > giveUpAt) throw lockedBy(`${folder.path}/${rival}`);
    await sleep(20 + Math.random() * 30);
  }
}

/**
 * Another's lock file for the same object; stale ones are removed. Ages are taken between stamps of one file system
 * (the temporary is fresh): its clock may not be ours.
 */
async function rivalOf(folder: HeldFolder, own: string, name: string, temporary: string): Promise<string | undefined> {
  const prefix = lockPrefix(name);
  for (const lock of await readdir(folder.child('.'))) {
    if (lock === own || !lock.startsWith(prefix) || !/^[0-9a-f]{16}$/.test(lock.slice(prefix.length))) continue;
    const held = await lstat(folder.child(lock)).catch(ignoreAbsent);
    if (held === undefined) continue;
    if ((await lstat(folder.child(temporary))).mtimeMs - held.mtimeMs < lockStaleMs) return lock;
    await unlink(folder.child(lock)).catch(ignoreAbsent);
  }
  return undefined;
}

function lockPrefix(name: string): string {
  return `.lock-${name}.`;
}

function lockedBy(lock: string): StorageError {
  return new StorageError(`another process holds ${lock}`, {
    retryable: true,
    hint: `if no other lifeboat is at work there, remove that file`,
  });
}

async function isThere(folder: HeldFolder, name: string): Promise<boolean> {
  return (await lstat(folder.child(name)).catch(ignoreAbsent)) !== undefined;
}
