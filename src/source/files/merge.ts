/**
 * Puts a restored tree into a folder that holds files: looked at first for everything that could stop
 * it half-way, then moved name by name. A file is replaced by rename, so it is old or new, never mixed;
 * what is not in the backup stays.
 */
import fs from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { changeMode, closeFile, type Folder, listFolder, openFolder, statFile, statLink } from './system-calls.ts';
import { displayPath, joinName } from './names.ts';
import { type Rights, secondsOf } from './restore-rights.ts';
import { applyRights } from './target-tree.ts';

const maxNamed = 20;

interface Pair {
  readonly from: Folder;
  readonly to: Folder;
  /** Path below the target. */
  readonly path: Buffer;
}

/**
 * Throws (usage) when something cannot be put in place; nothing has been changed then. `folder` leads to the target,
 * `target` is what it is called.
 */
export async function checkMerge(staging: string, folder: string, target: string): Promise<void> {
  const conflicts: string[] = [];
  await withPair(Buffer.from(staging), Buffer.from(folder), Buffer.alloc(0), async (top) => {
    const { dev } = await statFile(top.from.fd);
    await check(top, dev, conflicts);
  });
  if (conflicts.length === 0) return;
  throw new LifeboatError('usage', `cannot restore into ${target}: ${conflicts.join('; ')}`, {
    state: 'nothing was changed',
    hint: 'restore into an empty folder, and move what you need from there',
  });
}

async function check(pair: Pair, device: bigint, conflicts: string[]): Promise<void> {
  if (!(await isWritable(pair.to))) {
    conflicts.push(`${pair.path.length === 0 ? 'the folder' : displayPath(pair.path)} cannot be written to`);
    return;
  }
  for await (const { name, moved, there } of namesOf(pair)) {
    if (there === undefined || conflicts.length >= maxNamed) continue;
    const path = joinName(pair.path, name);
    if (moved.isDirectory() && there.isDirectory() && there.dev === device) {
      await withPair(pair.from.child(name), pair.to.child(name), path, (below) => check(below, device, conflicts));
    } else if (moved.isDirectory()) {
      conflicts.push(
        `${displayPath(path)} is ` +
          `${there.isDirectory() ? 'on another file system' : there.isSymbolicLink() ? 'a symlink' : 'no folder'} ` +
          'there, and a folder in the backup',
      );
    } else if (there.isDirectory()) {
      conflicts.push(`${displayPath(path)} is a folder there, and none in the backup`);
    }
  }
}

/**
 * Moves all there is. `top`: what the target itself gets; `implicit`: folders (latin1 paths) whose rights stay as they
 * are.
 */
export async function merge(
  staging: string,
  target: string,
  top: Rights | undefined,
  implicit: ReadonlySet<string>,
): Promise<void> {
  await withPair(Buffer.from(staging), Buffer.from(target), Buffer.alloc(0), async (pair) => {
    await move(pair, implicit);
    if (top !== undefined) await applyRights(pair.to.fd, top);
  });
}

async function move(pair: Pair, implicit: ReadonlySet<string>): Promise<void> {
  for await (const { name, moved, there } of namesOf(pair)) {
    const path = joinName(pair.path, name);
    if (!moved.isDirectory() || there === undefined) {
      await moveOne(pair, name, moved);
      continue;
    }
    await withPair(pair.from.child(name), pair.to.child(name), path, async (below) => {
      const rights = await statFile(below.from.fd);
      await changeMode(below.from.fd, 0o700);
      await move(below, implicit);
      if (!implicit.has(path.toString('latin1'))) await applyRights(below.to.fd, rightsOf(rights));
    });
    await fs.promises.rmdir(pair.from.child(name));
  }
}

/** A folder gets another parent: its owner must be able to write to it for that moment, unless that is root. */
async function moveOne(pair: Pair, name: Buffer, stat: BigIntStats): Promise<void> {
  const mode = Number(stat.mode) & 0o7777;
  const isReadOnly = stat.isDirectory() && (mode & 0o200) === 0;
  if (!isReadOnly) return fs.promises.rename(pair.from.child(name), pair.to.child(name));
  const moved = await openFolder(pair.from.child(name));
  try {
    await changeMode(moved.fd, mode | 0o200);
    await fs.promises.rename(pair.from.child(name), pair.to.child(name));
    await changeMode(moved.fd, mode);
  } finally {
    await closeFile(moved.fd);
  }
}

async function isWritable(folder: Folder): Promise<boolean> {
  return fs.promises.access(folder.child(Buffer.from('.')), fs.constants.W_OK).then(
    () => true,
    () => false,
  );
}

function rightsOf(stat: BigIntStats): Rights {
  return {
    owner: { uid: Number(stat.uid), gid: Number(stat.gid) },
    mode: Number(stat.mode) & 0o7777,
    mtimeSeconds: secondsOf(stat.mtimeNs),
  };
}

async function* namesOf(
  pair: Pair,
): AsyncGenerator<{ name: Buffer; moved: BigIntStats; there: BigIntStats | undefined }> {
  const names = await listFolder(pair.from);
  for (let index = 0; index < names.length; index++) {
    const name = names.name(index);
    yield { name, moved: await statLink(pair.from.child(name)), there: await statIfThere(pair.to.child(name)) };
  }
}

async function statIfThere(path: Buffer): Promise<BigIntStats | undefined> {
  try {
    return await statLink(path);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Both folders held open, so that neither can be swapped for a symlink meanwhile. */
async function withPair(from: Buffer, to: Buffer, path: Buffer, work: (pair: Pair) => Promise<void>): Promise<void> {
  const opened = await openFolder(from);
  try {
    const other = await openFolder(to);
    try {
      await work({ from: opened, to: other, path });
    } finally {
      await closeFile(other.fd);
    }
  } finally {
    await closeFile(opened.fd);
  }
}
