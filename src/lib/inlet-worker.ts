/** The thread of an Inlet: writes what it is given, in order and blocking, and gives the memory back. */
import { writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** To the thread: bytes that are its own now. It answers each with true, or with false once nobody reads any more. */
export interface InletJob {
  readonly fd: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

parentPort?.on('message', ({ fd, bytes }: InletJob) => {
  let taken = true;
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  } catch {
    // EPIPE: the program has ended or closed its input. Why is told by its exit code.
    taken = false;
  }
  bytes.buffer.transfer(0);
  parentPort?.postMessage(taken);
});
