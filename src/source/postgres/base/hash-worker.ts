/**
 * Hashes the files of a restored base backup in a thread of its own: it reads back what has been written, while the
 * next pieces are on their way. So what is compared is what the file holds, and the main thread is free to open
 * and write.
 */
import { createHash, type Hash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** To the thread: bytes from where it stands up to `end` are in the file; `isLast`: tell the hash of all of it. */
export interface HashJob {
  readonly file: number;
  readonly fd: number;
  readonly end: number;
  readonly isLast: boolean;
}

/** From the thread, for each file once: SHA-256 in hex, or why not. */
export interface HashAnswer {
  readonly file: number;
  readonly sha256?: string;
  readonly failure?: string;
}

const readBytes = 1024 * 1024;
const buffer = Buffer.allocUnsafeSlow(readBytes);
const files = new Map<number, { readonly hash: Hash; at: number; failure?: string }>();

parentPort?.on('message', ({ file, fd, end, isLast }: HashJob) => {
  const state = files.get(file) ?? { hash: createHash('sha256'), at: 0 };
  files.set(file, state);
  try {
    while (state.at < end && state.failure === undefined) {
      const read = readSync(fd, buffer, 0, Math.min(readBytes, end - state.at), state.at);
      if (read === 0) throw new Error(`it ends at ${state.at} bytes, not ${end}`);
      state.hash.update(buffer.subarray(0, read));
      state.at += read;
    }
  } catch (error) {
    state.failure = error instanceof Error ? error.message : String(error);
  }
  if (!isLast) return;
  files.delete(file);
  parentPort?.postMessage(
    (state.failure === undefined
      ? { file, sha256: state.hash.digest('hex') }
      : { file, failure: state.failure }) satisfies HashAnswer,
  );
});
