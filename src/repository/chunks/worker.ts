/**
 * The reader thread of one stream: reads a FIFO with blocking reads into shared slabs and looks for cut points. A
 * FIFO holds only 64 KiB, so it cuts a FIFO's content at a time, while the program behind fills the FIFO again.
 * Hashing is the main thread's, which holds us back only through the slabs it has not freed.
 */
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { slabBytes, slabFree, slabTaken, type ReadJob, type WorkerMessage } from './protocol.ts';
import { headBytes, SlabCutter } from './slab-cutter.ts';

/** A FIFO hands out at most this much at once. */
const readBytes = 64 * 1024;

parentPort?.on('message', (job: ReadJob) => {
  try {
    readStream(job);
  } catch (error) {
    send({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
});

function readStream(job: ReadJob): void {
  const states = new Int32Array(job.states);
  const counter = new BigInt64Array(job.counter);
  const slabs = job.slabs.map((slab) => Buffer.from(slab));
  const cutter = new SlabCutter(job);
  let ended = false;
  for (let n = 0; !ended; n = (n + 1) % slabs.length) {
    take(states, n);
    const slab = slabs[n] as Buffer;
    cutter.begin(slab);
    let end = headBytes;
    while (end < slabBytes && !ended) {
      const read = readSync(job.fd, slab, end, Math.min(readBytes, slabBytes - end), null);
      end += read;
      cutter.advance(end);
      Atomics.add(counter, 0, BigInt(read));
      ended = read === 0 || Atomics.load(states, slabs.length) !== 0;
    }
    send({ type: 'slab', slab: n, places: cutter.finish(ended), isLast: ended });
  }
}

/** Waits until the slab is free and takes it. */
function take(states: Int32Array, n: number): void {
  while (Atomics.compareExchange(states, n, slabFree, slabTaken) !== slabFree) Atomics.wait(states, n, slabTaken);
}

function send(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}
