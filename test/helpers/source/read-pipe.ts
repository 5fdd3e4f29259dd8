/** A pipe's artifact as the repository reads it, without its threads. */
import { read } from 'node:fs';
import { promisify } from 'node:util';
import { FrameRun } from '../../../src/lib/frame-run.ts';
import type { OpenPipe } from '../../../src/source/source.ts';

/** Its bytes, in order; rejects as the program behind it does. */
export async function* readPipe(pipe: OpenPipe): AsyncGenerator<Uint8Array, void, void> {
  const { head, readFd, frames, done } = pipe;
  const run = frames === undefined ? undefined : new FrameRun(frames.begin);
  let surplus: Uint8Array = new Uint8Array(0);
  const taken = (bytes: Uint8Array): Uint8Array => {
    const end = run?.advance(bytes, 0, bytes.length) ?? bytes.length;
    surplus = bytes.subarray(end);
    return bytes.subarray(0, end);
  };
  try {
    yield head;
    if (frames !== undefined) yield taken(frames.read);
    while (run?.isOver !== true) {
      const bytes = await nextBytes(readFd);
      if (bytes.length === 0) break;
      yield taken(bytes);
    }
    if (run?.isOver !== true) await done;
  } finally {
    pipe.release(surplus);
  }
}

const readAsync = promisify(read);

async function nextBytes(fd: number): Promise<Uint8Array> {
  const { bytesRead, buffer } = await readAsync(fd, new Uint8Array(bytesAtOnce), 0, bytesAtOnce, null);
  return buffer.subarray(0, bytesRead);
}

const bytesAtOnce = 64 * 1024;
