/**
 * The reader thread of one stream: reads a FIFO with blocking reads into shared slabs and finds the cut
 * points. A FIFO holds only 64 KiB, so whatever else this thread does stalls the program behind it:
 * hashing is left to the main thread, which in turn holds us back only through the slabs it has not freed.
 */
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { cutMasks, findCut } from './gear.ts';
import { slabFree, slabTaken, type ChunkJob, type WorkerMessage } from './chunk-protocol.ts';

/** A FIFO hands out at most this much at once. */
const readBytes = 64 * 1024;

parentPort?.on('message', (job: ChunkJob) => {
  try {
    cutStream(job);
  } catch (error) {
    send({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
});

function cutStream(job: ChunkJob): void {
  const states = new Int32Array(job.states);
  const counter = new BigInt64Array(job.counter);
  const slabs = job.slabs.map((slab) => Buffer.from(slab));
  const { strict, loose } = cutMasks(job.sizes);
  let n = take(states, 0);
  let slab = slabs[n] as Buffer;
  let start = 0;
  let scanned = 0;
  let end = 0;
  let chunks: number[] = [];
  while (Atomics.load(states, slabs.length) === 0) {
    const read = readSync(job.fd, slab, end, Math.min(readBytes, slab.length - end), null);
    if (read === 0) break;
    end += read;
    Atomics.add(counter, 0, BigInt(read));
    for (let cut = 0; (cut = findCut(slab, start, scanned, end, job.gear, job.sizes, strict, loose)) !== -1; ) {
      chunks.push(start, cut - start);
      start = scanned = cut;
    }
    scanned = end;
    if (end < slab.length) continue;
    send({ type: 'slab', slab: n, chunks });
    const full = slab;
    n = take(states, (n + 1) % slabs.length);
    slab = slabs[n] as Buffer;
    // The unfinished chunk goes on in the next slab; only this thread writes to slabs, so `full` is intact.
    end = full.copy(slab, 0, start, end);
    scanned = end;
    start = 0;
    chunks = [];
  }
  if (end > start) chunks.push(start, end - start);
  send({ type: 'slab', slab: n, chunks });
  send({ type: 'end' });
}

/** Waits until the slab is free and takes it. */
function take(states: Int32Array, n: number): number {
  while (Atomics.compareExchange(states, n, slabFree, slabTaken) !== slabFree) Atomics.wait(states, n, slabTaken);
  return n;
}

function send(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}
