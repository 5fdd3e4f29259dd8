/**
 * The catalog while the tar is still being written: a file that has no name any more, so that nothing of
 * it is left even if this process is killed.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { withScratchFolder } from '../../lib/fs.ts';
import { closeFile, openFile, readSome, writeAll } from './system-calls.ts';

const batchBytes = 256 * 1024;

export class Spool {
  readonly #fd: number;
  readonly #hash = createHash('sha256');
  #waiting: string[] = [];
  #waitingBytes = 0;
  #length = 0;
  #isClosed = false;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Makes an empty one in a scratch folder (default: that of the system). */
  static async open(scratchDir: string | undefined): Promise<Spool> {
    const make = (folder: string): Promise<number> =>
      openFile(join(folder, 'catalog'), constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    return new Spool(await (scratchDir === undefined ? withScratchFolder(make) : withScratchFolder(make, scratchDir)));
  }

  /** Bytes appended so far. */
  get length(): number {
    return this.#length + this.#waitingBytes;
  }

  append(line: string): Promise<void> | undefined {
    this.#waiting.push(line);
    this.#waitingBytes += Buffer.byteLength(line);
    return this.#waitingBytes >= batchBytes ? this.flush() : undefined;
  }

  /** Writes what waits. Throws (space) when the scratch disk is full. */
  async flush(): Promise<void> {
    const bytes = Buffer.from(this.#waiting.join(''));
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#hash.update(bytes);
    try {
      await writeAll(this.#fd, bytes, this.#length);
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOSPC' && systemCodeOf(error) !== 'EDQUOT') throw error;
      throw new LifeboatError('space', 'cannot write the list of files: no space in the scratch folder', {
        hint: 'set TMPDIR to a folder with more space',
        cause: error,
      });
    }
    this.#length += bytes.length;
  }

  /** SHA-256 of all that was flushed; to be asked for once, at the end. */
  digest(): string {
    return this.#hash.digest('hex');
  }

  /** All of it from the start; the buffer is used again. */
  async *read(): AsyncGenerator<Uint8Array> {
    const buffer = Buffer.allocUnsafe(batchBytes);
    for (let at = 0; at < this.#length;) {
      const bytes = await readSome(this.#fd, buffer, 0, buffer.length, at);
      if (bytes === 0) throw new Error('the spooled list of files is shorter than it was written');
      yield buffer.subarray(0, bytes);
      at += bytes;
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await closeFile(this.#fd);
  }
}
