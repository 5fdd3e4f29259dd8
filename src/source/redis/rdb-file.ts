/** RDB files on the local disk: read in order, and in pieces by place. */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { RdbSummary } from './rdb/summary.ts';
import { summarizeRdb } from './rdb/summary.ts';
import type { RdbVisitor } from './rdb/walk.ts';

const pieceBytes = 1024 * 1024;

/** All bytes of a file in pieces of 1 MiB; the one buffer is reused. Stops with the signal's reason. */
export async function* readPieces(path: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(pieceBytes);
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, pieceBytes);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** Walks through a whole file and checks its checksum. Throws (integrity, 14). */
export function summarizeFile(path: string, context: RunContext, also?: RdbVisitor): Promise<RdbSummary> {
  return summarizeRdb(readPieces(path, context.signal), also);
}

/** Pieces of a file by place, for readers that go mostly forward: one window of 1 MiB, larger pieces directly. */
export class FileWindow implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #window = Buffer.allocUnsafe(pieceBytes);
  #start = 0;
  #end = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async open(path: string): Promise<FileWindow> {
    return new FileWindow(await open(path, 'r'));
  }

  /** At most 1 MiB, valid until the next call. */
  async read(offset: number, length: number): Promise<Buffer> {
    if (offset < this.#start || offset + length > this.#end) {
      const { bytesRead } = await this.#file.read(this.#window, 0, pieceBytes, offset);
      this.#start = offset;
      this.#end = offset + bytesRead;
      if (bytesRead < length) {
        throw new LifeboatError('integrity', 'the spooled Redis snapshot became shorter while it was read');
      }
    }
    return this.#window.subarray(offset - this.#start, offset - this.#start + length);
  }

  /** A range of any length in pieces of at most 1 MiB. */
  async *pieces(offset: number, length: number): AsyncGenerator<Buffer> {
    for (let done = 0; done < length; done += pieceBytes) {
      yield await this.read(offset + done, Math.min(pieceBytes, length - done));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
