/**
 * Reads an open file into the blocks of a tar, exactly as many bytes as its header announces: small ones side by side
 * with others, big ones in pieces that are read ahead.
 */
import type { Hash } from 'node:crypto';
import type { Gatherer } from './gatherer.ts';
import { pieceBytes } from './gatherer.ts';
import type { Stretch } from './sparse-map.ts';
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
  const { bytes, problem } = await fill(fd, content, size, 0);
  sha256.update(content);
  yield* out.add(content);
  return { bytes, ...(problem === undefined ? {} : { problem }) };
}

/**
 * All of these stretches, one after the other. Two blocks in turn: while one is with the consumer, the other is being
 * filled.
 */
export async function* readPieces(
  signal: AbortSignal,
  fd: number,
  stretches: readonly Stretch[],
  sha256: Hash,
  out: Gatherer,
): AsyncGenerator<Uint8Array, ReadOutcome> {
  yield* out.flush();
  let total = 0;
  let problem: string | undefined;
  const pieces = piecesOf(stretches);
  let turn = 0;
  const start = (): { length: number; filled: Promise<ReadOutcome> } | undefined => {
    const next = pieces.next();
    if (next.done === true) return undefined;
    const { start: position, end } = next.value;
    return { length: end - position, filled: fill(fd, out.spare(turn), end - position, position) };
  };
  let current = start();
  try {
    while (current !== undefined) {
      signal.throwIfAborted();
      const { length, filled } = current;
      const outcome = await filled;
      total += outcome.bytes;
      problem ??= outcome.problem;
      const piece = out.spare(turn).subarray(0, length);
      turn = 1 - turn;
      current = start();
      sha256.update(piece);
      yield piece;
    }
  } finally {
    // The descriptor is closed by the caller: not while it is still read from.
    await current?.filled;
  }
  return { bytes: total, ...(problem === undefined ? {} : { problem }) };
}

function* piecesOf(stretches: readonly Stretch[]): Generator<Stretch> {
  for (const { start, end } of stretches) {
    for (let at = start; at < end; at += pieceBytes) yield { start: at, end: Math.min(at + pieceBytes, end) };
  }
}

/** Fills `length` bytes from a position of the file; zeros where it ends early or cannot be read. Never rejects. */
async function fill(fd: number, buffer: Buffer, length: number, position: number): Promise<ReadOutcome> {
  let done = 0;
  try {
    while (done < length) {
      const bytes = await readSome(fd, buffer, done, length - done, position + done);
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
