/**
 * File system calls on plain descriptors and byte paths, as promises: cheaper than FileHandles when
 * there are a million files, and with them folders can be held open, so that what a path means cannot
 * change between two calls.
 */
import fs, { constants, existsSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { promisify } from 'node:util';

export const openFile: (path: Buffer | string, flags: number, mode?: number) => Promise<number> = promisify(fs.open);
export const closeFile = promisify(fs.close);
export const syncFile = promisify(fs.fsync);
export const truncateFile = promisify(fs.ftruncate);
export const changeOwner = promisify(fs.fchown);
export const changeMode = promisify(fs.fchmod);
export const changeTimes = promisify(fs.futimes);

export function statLink(path: Buffer | string): Promise<BigIntStats> {
  return new Promise((resolve, reject) => {
    fs.lstat(path, { bigint: true }, (error, stats) => (error === null ? resolve(stats) : reject(error)));
  });
}

export function statFile(fd: number): Promise<BigIntStats> {
  return new Promise((resolve, reject) => {
    fs.fstat(fd, { bigint: true }, (error, stats) => (error === null ? resolve(stats) : reject(error)));
  });
}

/** Reads at most `length` bytes from `position`, or from where the descriptor stands; 0 is the end. */
export function readSome(
  fd: number,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number | null = null,
): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, buffer, offset, length, position, (error, bytes) => (error === null ? resolve(bytes) : reject(error)));
  });
}

/** Writes all of `bytes` at a position of the file. */
export async function writeAll(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    done += await new Promise<number>((resolve, reject) => {
      fs.write(fd, bytes, done, bytes.length - done, position + done, (error, written) =>
        error === null ? resolve(written) : reject(error),
      );
    });
  }
}

/** A folder held open. */
export interface Folder {
  readonly fd: number;
  /**
   * A path to the entry `name` in this very folder, whatever happens meanwhile to the folder's own path.
   * Short, so trees deeper than the longest path work too. Without /proc: by path, with weaker promises.
   */
  child(name: Buffer): Buffer;
}

const hasProc = existsSync('/proc/self/fd');
const separator = Buffer.from('/');

/** Opens a folder; a symlink in the last place is refused (ELOOP, ENOTDIR). */
export async function openFolder(path: Buffer): Promise<Folder> {
  const fd = await openFile(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  return folderOf(fd, path);
}

/** Linux' O_PATH: to go on from it, for which the right to pass through is enough. */
const passing = hasProc ? 0o10000000 : constants.O_RDONLY;

/** The same for a folder on the way, that need not be listed. */
export async function passFolder(path: Buffer): Promise<Folder> {
  const fd = await openFile(path, passing | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  return folderOf(fd, path);
}

function folderOf(fd: number, path: Buffer): Folder {
  const prefix = hasProc ? Buffer.from(`/proc/self/fd/${fd}/`) : Buffer.concat([path, separator]);
  return { fd, child: (name) => Buffer.concat([prefix, name]) };
}

/** Names of a folder, kept in one block of memory: a folder of a million files takes about 30 MB. */
export interface NameList {
  readonly length: number;
  name(index: number): Buffer;
}

/** All names in a folder, in byte order. */
export async function listFolder(folder: Folder): Promise<NameList> {
  let bytes = Buffer.allocUnsafe(4096);
  let ends = new Uint32Array(256);
  let length = 0;
  const path = folder.child(Buffer.from('.'));
  // With encoding 'buffer' the names are Buffers, which the type does not say.
  const options = { encoding: 'buffer' as BufferEncoding, bufferSize: 256 };
  const dir = await fs.promises.opendir(path, options);
  for await (const entry of dir) {
    const name = entry.name as unknown as Buffer;
    const start = length === 0 ? 0 : (ends[length - 1] ?? 0);
    if (start + name.length > bytes.length) bytes = Buffer.concat([bytes], bytes.length * 2);
    if (length === ends.length) {
      const longer = new Uint32Array(length * 2);
      longer.set(ends);
      ends = longer;
    }
    name.copy(bytes, start);
    ends[length++] = start + name.length;
  }
  const startOf = (index: number): number => (index === 0 ? 0 : (ends[index - 1] ?? 0));
  const order = new Uint32Array(length);
  for (let index = 0; index < length; index++) order[index] = index;
  order.sort((a, b) => bytes.compare(bytes, startOf(b), ends[b], startOf(a), ends[a]));
  return {
    length,
    name: (index) => {
      const at = order[index] ?? 0;
      return Buffer.from(bytes.subarray(startOf(at), ends[at]));
    },
  };
}
