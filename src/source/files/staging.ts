/**
 * Where a restore writes before it counts. Everything goes into a private folder beside the target (or
 * inside it, if the target is a mount point or holds files); only when all of it is written, checked and
 * durable does it take the target's place. So a target that looks complete is complete.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, type Stats, statSync } from 'node:fs';
import { mkdir, open, readdir, realpath, rename, rm, rmdir, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { runTool } from '../../lib/exec.ts';
import { syncFolder } from '../../lib/fs.ts';
import { rememberPath } from '../../lib/leftovers.ts';
import { checkMerge, merge } from './merge.ts';
import type { Rights } from './restore-rights.ts';

export interface Staging {
  /** The private folder to write into. */
  readonly path: string;
  /** Every file must be made durable by itself: the whole file system cannot be. */
  readonly syncEach: boolean;
  /** Free bytes where it lies. */
  readonly freeBytes: number;
  /**
   * THE COMMIT POINT. Makes all durable, then puts it in place. `top`: what the target itself gets, if an
   * entry of the backup stands for it; `implicit`: folders (latin1 paths) that an existing folder's rights win over.
   */
  commit(top: Rights | undefined, implicit: ReadonlySet<string>): Promise<void>;
}

export interface StagingOptions {
  /** Absolute. */
  readonly targetDir: string;
  /** 'existing': the target may hold files; what is restored replaces what has the same name. */
  readonly into: 'empty' | 'existing';
  /** Leave what was written when the restore fails. */
  readonly keepOnFailure: boolean;
}

/** Runs `work` with a staging folder; it is gone afterwards unless it was committed (or is to be kept). */
export async function withStaging<T>(options: StagingOptions, work: (staging: Staging) => Promise<T>): Promise<T> {
  const target = await resolveTarget(options.targetDir);
  const existing = await inspect(target, options.into);
  const isInside = existing !== undefined && (options.into === 'existing' || isMountPoint(target, existing));
  const name = `.restoring-${randomBytes(4).toString('hex')}`;
  const path = isInside ? join(target, name) : `${target}${name}`;
  using _ = rememberPath(path);
  await mkdir(path, { mode: 0o700 });
  try {
    const syncEach = !(await syncFileSystem(path));
    const { bavail, bsize } = await statfs(path);
    const commit: Staging['commit'] = async (top, implicit) => {
      await syncFileSystem(path);
      if (isInside) await mergeInto(path, target, top, implicit);
      else await replace(path, target, existing, top);
    };
    return await work({ path, syncEach, freeBytes: bavail * bsize, commit });
  } catch (error) {
    if (options.keepOnFailure) throw kept(error, path);
    throw error;
  } finally {
    if (!options.keepOnFailure) await removeTree(path);
  }
}

/** The target by its real path: symlinks on the way to it are the operator's, those below it are not followed. */
async function resolveTarget(targetDir: string): Promise<string> {
  const path = targetDir.length > 1 ? targetDir.replace(/\/+$/, '') : targetDir;
  const isThere = await realpath(path).catch(() => undefined);
  if (isThere !== undefined) return isThere;
  await mkdir(dirname(path), { recursive: true });
  return join(await realpath(dirname(path)), basename(path));
}

/** Undefined: the target is not there yet. */
async function inspect(target: string, into: 'empty' | 'existing'): Promise<Stats | undefined> {
  const stat = statSync(target, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if (!stat.isDirectory()) throw refused(target, 'it is not a folder');
  // A fresh file system has a lost+found of its own.
  const names = (await readdir(target)).filter((name) => name !== 'lost+found');
  if (into === 'empty' && names.length > 0) throw refused(target, 'it contains files');
  return stat;
}

function refused(target: string, why: string): LifeboatError {
  return new LifeboatError('usage', `cannot restore into ${target}: ${why}`, {
    state: 'nothing was changed',
    hint: 'name a folder that is empty or not there yet',
  });
}

function isMountPoint(target: string, stat: Stats): boolean {
  const parent = statSync(dirname(target));
  return parent.dev !== stat.dev || parent.ino === stat.ino;
}

/** A rename takes the place of an absent or empty folder, all or nothing. */
async function replace(
  path: string,
  target: string,
  existing: Stats | undefined,
  top: Rights | undefined,
): Promise<void> {
  if (top === undefined) {
    if (existing !== undefined) chownSync(path, existing.uid, existing.gid);
    chmodSync(path, existing === undefined ? 0o755 : existing.mode & 0o7777);
  }
  try {
    await rename(path, target);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOTEMPTY' || systemCodeOf(error) === 'EEXIST') {
      throw refused(target, 'files were put there during the restore');
    }
    throw error;
  }
  await syncFolder(dirname(target));
}

async function mergeInto(
  path: string,
  target: string,
  top: Rights | undefined,
  implicit: ReadonlySet<string>,
): Promise<void> {
  await checkMerge(path, target);
  await merge(path, target, top, implicit);
  await rmdir(path);
  await syncFileSystem(target);
  await syncFolder(target);
}

/** One call for a million files: Node has no syncfs, coreutils has. False: not to be had here. */
async function syncFileSystem(path: string): Promise<boolean> {
  try {
    const folder = await open(path, 'r');
    await folder.close();
    await runTool({ file: 'sync', args: ['-f', path] });
    return true;
  } catch (error) {
    if (error instanceof LifeboatError && error.code === 'tool') return false;
    throw error;
  }
}

/**
 * Node's own removal goes by path and fails in trees deeper than the longest path, and in our own folders that got a
 * read-only mode.
 */
async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    await runTool({ file: 'chmod', args: ['-R', 'u+rwx', '--', path] });
    await runTool({ file: 'rm', args: ['-rf', '--', path] });
  }
}

function kept(error: unknown, path: string): unknown {
  return error instanceof LifeboatError ? error.withState(`what was restored so far is in ${path}`) : error;
}
