/**
 * Reads an open file into the blocks of a tar, exactly as many bytes as its header announces: small ones side by side
 * with others, big ones in pieces that are read ahead.
 */
import type { Hash } from 'node:crypto';
import type { Gatherer } from './gatherer.ts';
import { pieceBytes } from './gatherer.ts';
import { readSome } from './system-calls.ts';
import { problemOf } from './walker.ts';

/** What came of reading a file. */
export interface ReadOutcome {
  /** Bytes that came from the file; zeros stand for the rest. */
  readonly bytes: number;
  readonly problem?: string;
}

/** A file that is small enough to be held in memory as a whole. */
export async function* readGathered(
  fd: number,
  size: number,
  sha256: Hash,
  out: Gatherer,
): AsyncGenerator<Uint8Array, ReadOutcome> {
  const content = Buffer.alloc(size);
  const { bytes, problem } = await fill(fd, content, size);
  sha256.update(content);
  yield* out.add(content);
  return { bytes, ...(problem === undefined ? {} : { problem }) };
}

/** Two blocks in turn: while one is with the consumer, the other is being filled. */
export async function* readPieces(
  signal: AbortSignal,
  fd: number,
  size: number,
  sha256: Hash,
  out: Gatherer,
): AsyncGenerator<Uint8Array, ReadOutcome> {
  yield* out.flush();
  let total = 0;
  let problem: string | undefined;
  let next = fill(fd, out.spare(0), Math.min(pieceBytes, size));
  try {
    for (let at = 0, turn = 0; at < size; at += pieceBytes, turn = 1 - turn) {
      signal.throwIfAborted();
      const length = Math.min(pieceBytes, size - at);
      const filled = await next;
      total += filled.bytes;
      problem ??= filled.problem;
      const left = size - at - length;
      if (left > 0) next = fill(fd, out.spare(1 - turn), Math.min(pieceBytes, left));
      const piece = out.spare(turn).subarray(0, length);
      sha256.update(piece);
      yield piece;
    }
  } finally {
    // The descriptor is closed by the caller: not while it is still read from.
    await next;
  }
  return { bytes: total, ...(problem === undefined ? {} : { problem }) };
}

/** Fills `length` bytes from the file; zeros where it ends early or cannot be read. Never rejects. */
async function fill(fd: number, buffer: Buffer, length: number): Promise<ReadOutcome> {
  let done = 0;
  try {
    while (done < length) {
      const bytes = await readSome(fd, buffer, done, length - done);
      if (bytes === 0) break;
      done += bytes;
    }
    buffer.fill(0, done, length);
    return { bytes: done };
  } catch (error) {
    buffer.fill(0, done, length);
    return { bytes: done, problem: `${problemOf(error).reason}; zeros stand for what could not be read` };
  }
}
