/**
 * Removes a file or a whole folder by descriptors: no link planted meanwhile leads out of it, no other file system
 * mounted in it is emptied, and it may be deeper than the longest path. A folder within is moved up into the top one
 * before its own entries go, so that two folders are open at a time, however deep the tree was.
 */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { basename, dirname } from 'node:path';
import { setImmediate as pause } from 'node:timers/promises';
import { LifeboatError, systemCodeOf } from './errors.ts';
import { HeldFolder } from './held-folder.ts';

/** Which file or folder it is, whatever it is called. */
export interface Identity {
  readonly dev: number;
  readonly ino: number;
}

const pauseEach = 256;
const maxTries = 5;
const namesAtOnce = 4096;
/** Of a folder of four hundred million files. */
const maxPasses = 100_000;

/**
 * The file or folder at `path`, if it is there. `identity`: only if it is that one. Throws LifeboatError `usage` (2)
 * where the way there leads through a link of somebody else, and what the file system refuses.
 */
export async function removeTree(path: string, identity?: Identity): Promise<void> {
  using parent = folderOf(path);
  if (parent === undefined) return;
  await paused(removal(parent, basename(path), identity));
}

async function paused(work: Iterable<void>): Promise<void> {
  let steps = 0;
  for (const _ of work) if (++steps % pauseEach === 0) await pause();
}

/** What is in the folder at `path`, if it is that one; it stays. */
export async function emptyFolder(path: string, identity: Identity): Promise<void> {
  using folder = unlessAbsent(() => HeldFolder.open(path));
  if (folder !== undefined && isSame(folder.stat(), identity)) await paused(emptying(folder));
}

/** The same at once, for a start that must not go on before. False: nothing was there. */
export function removeTreeSync(path: string, identity?: Identity): boolean {
  using parent = folderOf(path);
  if (parent === undefined || fs.lstatSync(parent.child(basename(path)), { throwIfNoEntry: false }) === undefined) {
    return false;
  }
  for (const _ of removal(parent, basename(path), identity));
  return true;
}

function folderOf(path: string): HeldFolder | undefined {
  return unlessAbsent(() => HeldFolder.open(dirname(path)));
}

/** One step each, in the order of work. */
function* removal(parent: HeldFolder, name: string, identity: Identity | undefined): Generator<void> {
  if (identity === undefined && isUnlinked(parent, Buffer.from(name))) return;
  using top = unlessAbsent(() => parent.enterBytes(Buffer.from(name)));
  if (top === undefined || (identity !== undefined && !isSame(top.stat(), identity))) return;
  for (let tries = 1; ; tries++) {
    // Where somebody else can exchange folders, only the one that is known to be ours is emptied.
    if (identity !== undefined || parent.isSafe) yield* emptying(top);
    try {
      parent.named(() => unlessAbsent(() => fs.rmdirSync(parent.child(name))));
      return;
    } catch (error) {
      // What a child that ends just now has still written.
      if (systemCodeOf(error) !== 'ENOTEMPTY' || tries === maxTries) throw error;
    }
  }
}

/** Takes the entries of a folder away, and of those below it. */
function* emptying(top: HeldFolder): Generator<void> {
  const prefix = `.removing-${randomBytes(8).toString('hex')}-`;
  let count = 0;
  const raise = (folder: HeldFolder, name: Buffer): void => moveFolder(folder, name, top.child(`${prefix}${count++}`));
  for (const name of entriesOf(top)) {
    yield;
    if (isUnlinked(top, name)) continue;
    using folder = unlessAbsent(() => top.enterBytes(name));
    if (folder === undefined) continue;
    for (const each of entriesOf(folder)) {
      yield;
      if (!isUnlinked(folder, each)) raise(folder, each);
    }
    top.named(() => unlessAbsent(() => fs.rmdirSync(top.childOf(name))));
  }
}

/** Names, as bytes, until there are none: they go meanwhile, and some come. */
function* entriesOf(folder: HeldFolder): Generator<Buffer> {
  makeWritable(folder);
  for (let passes = 0; passes < maxPasses; passes++) {
    const names = someNames(folder);
    if (names.length === 0) return;
    yield* names;
  }
  throw new LifeboatError('usage', `cannot remove ${folder.path}: somebody goes on writing there`);
}

/** Not all at once: there may be millions. */
function someNames(folder: HeldFolder): Buffer[] {
  const directory = fs.opendirSync(folder.child('.'), { encoding: 'buffer' as BufferEncoding });
  try {
    const names: Buffer[] = [];
    while (names.length < namesAtOnce) {
      const entry = directory.readSync();
      if (entry === null) break;
      names.push(entry.name as unknown as Buffer);
    }
    return names;
  } finally {
    directory.closeSync();
  }
}

/** False: it is a folder. */
function isUnlinked(folder: HeldFolder, name: Buffer): boolean {
  return folder.named(() => {
    try {
      fs.unlinkSync(folder.childOf(name));
      return true;
    } catch (error) {
      if (isAbsent(error)) return true;
      // Linux says EISDIR, others EPERM; so does a file that is immutable.
      const isFolder = fs.lstatSync(folder.childOf(name), { throwIfNoEntry: false })?.isDirectory() === true;
      if (isFolder) return false;
      throw error;
    }
  });
}

function moveFolder(from: HeldFolder, name: Buffer, to: string): void {
  using moved = unlessAbsent(() => from.enterBytes(name));
  if (moved === undefined) return;
  // Its own entry for the folder above it changes.
  makeWritable(moved);
  from.named(() => unlessAbsent(() => fs.renameSync(from.childOf(name), to)));
}

/** A restored tree may hold folders that their own user may not change; root may anyway. */
function makeWritable(folder: HeldFolder): void {
  const { uid, mode } = folder.stat();
  if (uid !== 0 && uid === process.geteuid?.() && (mode & 0o700) !== 0o700) folder.setMode(0o700);
}

function isSame(found: Identity, known: Identity): boolean {
  return found.dev === known.dev && found.ino === known.ino;
}

function unlessAbsent<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR';
}
