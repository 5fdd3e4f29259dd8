/** Files of write-ahead log on this host: read whole, or where they are large by pieces. */
import { open, type FileHandle } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import { maxWholeBytes, type WalBody } from '../../repository/wal/large.ts';

/** Memory that one file after another is read into: a fresh 16 MB for each would cost as much as reading it. */
export class ReadRoom {
  #buffer: Buffer = Buffer.alloc(0);

  /** The whole file, or how to read it if it is large; valid until the next one is read. */
  async read(path: string): Promise<Buffer | WalBody> {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > maxWholeBytes) return { bytes: size, read: async (start, end) => this.#piece(path, start, end) };
    if (size > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(size);
    return this.#buffer.subarray(0, await fill(file, this.#buffer.subarray(0, size), 0));
  }

  async #piece(path: string, start: number, end: number): Promise<Buffer> {
    await using file = await open(path);
    if (end - start > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(end - start);
    const piece = this.#buffer.subarray(0, end - start);
    await readPiece(file, path, piece, start);
    return piece;
  }
}

/** Fills the buffer from `start` on. Throws LifeboatError `source` where the file at `path` ends before. */
export async function readPiece(file: FileHandle, path: string, buffer: Buffer, start: number): Promise<void> {
  if ((await fill(file, buffer, start)) === buffer.length) return;
  throw new LifeboatError('source', `${path} became shorter while it was read`, { state: 'it was not archived' });
}

/** Reads as much as there is from `start` on; how much that was. */
async function fill(file: FileHandle, buffer: Buffer, start: number): Promise<number> {
  let length = 0;
  for (let read = -1; read !== 0 && length < buffer.length; length += read) {
    read = (await file.read(buffer, length, buffer.length - length, start + length)).bytesRead;
  }
  return length;
}
