/**
 * Reading one file for a backup: opened without following a symlink and without blocking on what took
 * its place, and looked at again afterwards, since a file that changed while it was read is stored as it
 * may never have been.
 */
import { constants } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { systemCodeOf } from '../../lib/errors.ts';
import { closeFile, openFile, readSome, statFile } from './system-calls.ts';

/** Files up to this size are read as a whole, ahead of need. */
export const smallFileBytes = 256 * 1024;

const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const flagsNoAtime = flags | (constants.O_NOATIME ?? 0);
const effectiveUid = process.geteuid?.() ?? -1;

/** The path is no longer what the walk saw there. */
export class ReplacedError extends Error {
  override readonly name = 'ReplacedError';
  readonly code = 'ENOENT';
}

/** Opens a regular file that the walk saw as `seen`. Throws ReplacedError if something else is there by now. */
export async function openForBackup(path: Buffer, seen: BigIntStats): Promise<{ fd: number; stat: BigIntStats }> {
  const fd = await openUntouched(path, seen);
  try {
    const stat = await statFile(fd);
    if (!stat.isFile()) throw new ReplacedError('it was replaced by something that is not a file');
    return { fd, stat };
  } catch (error) {
    await closeFile(fd);
    throw error;
  }
}

/** O_NOATIME is for owners and root only; it spares a write for each file read. */
async function openUntouched(path: Buffer, seen: BigIntStats): Promise<number> {
  const mayUse = effectiveUid === 0 || seen.uid === BigInt(effectiveUid);
  if (!mayUse) return openFile(path, flags);
  try {
    return await openFile(path, flagsNoAtime);
  } catch (error) {
    if (systemCodeOf(error) !== 'EPERM') throw error;
    return openFile(path, flags);
  }
}

/**
 * Differences that mean other content. The time of the last status change is left out: a chmod or a new link is no
 * change of content.
 */
export function contentChanged(before: BigIntStats, after: BigIntStats): boolean {
  return (
    before.size !== after.size ||
    before.mtimeNs !== after.mtimeNs ||
    before.ino !== after.ino ||
    before.dev !== after.dev
  );
}

export interface SmallFile {
  readonly content: Buffer;
  /** As it was after the reading. */
  readonly stat: BigIntStats;
  /** True if no reading found it still. */
  readonly changed: boolean;
}

/**
 * Reads a small file whole; one that changes meanwhile is read again, three times in all. Undefined: it grew past the
 * limit.
 */
export async function readSmallFile(path: Buffer, seen: BigIntStats): Promise<SmallFile | undefined> {
  let { fd, stat: before } = await openForBackup(path, seen);
  try {
    for (let attempt = 1; ; attempt++) {
      const content = await readAll(fd, Number(before.size));
      const after = await statFile(fd);
      if (content === undefined) return undefined;
      const changed = contentChanged(before, after) || BigInt(content.length) !== after.size;
      if (!changed || attempt === 3) return { content, stat: after, changed };
      await closeFile(fd);
      fd = -1;
      ({ fd, stat: before } = await openForBackup(path, seen));
    }
  } finally {
    if (fd !== -1) await closeFile(fd);
  }
}

/** All bytes up to the end of the file, expected to be `size`; undefined if there are more than a small file has. */
async function readAll(fd: number, size: number): Promise<Buffer | undefined> {
  let buffer = Buffer.allocUnsafe(Math.min(size, smallFileBytes) + 1);
  let length = 0;
  for (;;) {
    const bytes = await readSome(fd, buffer, length, buffer.length - length);
    length += bytes;
    if (bytes === 0 || (length === size && bytes > 0 && length < buffer.length)) return buffer.subarray(0, length);
    if (length > smallFileBytes) return undefined;
    if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(buffer.length * 2, smallFileBytes + 1));
  }
}
