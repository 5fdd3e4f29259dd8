/**
 * Where a restore writes before it counts. Everything goes into a private folder beside the target (or
 * inside it, if the target is a mount point or holds files); only when all of it is written, checked and
 * durable does it take the target's place. So a target that looks complete is complete.
 */
import { randomBytes } from 'node:crypto';
import { type Stats, statSync } from 'node:fs';
import { open, readdir, rename, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { runTool } from '../../lib/exec.ts';
import { makePrivateFolder, type PrivateFolder, syncFolder } from '../../lib/fs.ts';
import { checkMerge, merge } from './merge.ts';
import type { Rights } from './restore-rights.ts';
import { targetPlace } from './target-place.ts';

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
  const target = targetPlace(options.targetDir, { create: true });
  const existing = await inspect(target, options.into);
  const isInside = existing !== undefined && (options.into === 'existing' || isMountPoint(target, existing));
  const name = `.restoring-${randomBytes(4).toString('hex')}`;
  await using made = makePrivateFolder(isInside ? join(target, name) : `${target}${name}`);
  try {
    // By its descriptor, and so are all paths below it.
    const path = made.folder.child('.');
    const syncEach = !(await syncFileSystem(path));
    const { bavail, bsize } = await statfs(path);
    const commit: Staging['commit'] = async (top, implicit) => {
      await syncFileSystem(path);
      if (isInside) await mergeInto(made, target, top, implicit);
      else await replace(made, target, existing, top);
    };
    return await work({ path, syncEach, freeBytes: bavail * bsize, commit });
  } catch (error) {
    if (!options.keepOnFailure) throw error;
    made.keep();
    throw kept(error, made.path);
  }
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
  { folder, parent, path }: PrivateFolder,
  target: string,
  existing: Stats | undefined,
  top: Rights | undefined,
): Promise<void> {
  if (top === undefined) {
    if (existing !== undefined) folder.giveTo(existing);
    folder.setMode(existing === undefined ? 0o755 : existing.mode & 0o7777);
  }
  try {
    await rename(parent.child(basename(path)), parent.child(basename(target)));
  } catch (error) {
    if (systemCodeOf(error) === 'ENOTEMPTY' || systemCodeOf(error) === 'EEXIST') {
      throw refused(target, 'files were put there during the restore');
    }
    throw parent.telling(error);
  }
  await syncFolder(parent.child('.'));
}

/** The target is what the staging folder lies in. */
async function mergeInto(
  { folder, parent }: PrivateFolder,
  target: string,
  top: Rights | undefined,
  implicit: ReadonlySet<string>,
): Promise<void> {
  const [from, to] = [folder.child('.'), parent.child('.')];
  await checkMerge(from, to, target);
  await merge(from, to, top, implicit);
  await syncFileSystem(to);
  await syncFolder(to);
}

/** One call for a million files: Node has no syncfs, coreutils has. False: not to be had here. */
async function syncFileSystem(path: string): Promise<boolean> {
  try {
    const folder = await open(path, 'r');
    await folder.close();
    await runTool({ file: 'sync', args: ['-f', '.'], cwd: path });
    return true;
  } catch (error) {
    if (error instanceof LifeboatError && error.code === 'tool') return false;
    throw error;
  }
}

function kept(error: unknown, path: string): unknown {
  return error instanceof LifeboatError ? error.withState(`what was restored so far is in ${path}`) : error;
}
