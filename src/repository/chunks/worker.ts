/**
 * The reader thread of one stream: reads a FIFO with blocking reads into shared slabs and looks for cut points. A
 * FIFO holds only 64 KiB, so it cuts a FIFO's content at a time, while the program behind fills the FIFO again.
 * Hashing is the main thread's, which holds us back only through the slabs it has not freed.
 */
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { FrameRun } from '../../lib/frame-run.ts';
import { slabBytes, slabFree, slabTaken, type ReadJob, type WorkerMessage } from './protocol.ts';
import { headBytes, SlabCutter } from './slab-cutter.ts';

/** A FIFO hands out at most this much at once. */
const readBytes = 64 * 1024;

parentPort?.on('message', (job: ReadJob) => {
  try {
    readStream(job);
  } catch (error) {
    const brokeOff = error instanceof BrokenOff;
    send({ type: 'failed', message: error instanceof Error ? error.message : String(error), brokeOff });
  }
});

function readStream(job: ReadJob): void {
  const states = new Int32Array(job.states);
  const counter = new BigInt64Array(job.counter);
  const slabs = job.slabs.map((slab) => Buffer.from(slab));
  const cutter = new SlabCutter(job);
  const artifact = new ArtifactReader(job);
  let ended = false;
  for (let n = 0; !ended; n = (n + 1) % slabs.length) {
    take(states, n);
    const slab = slabs[n] as Buffer;
    cutter.begin(slab);
    let end = headBytes;
    if (!artifact.isBegun) cutter.advance((end = artifact.begin(slab, end)));
    while (end < slabBytes && !ended) {
      const read = artifact.read(slab, end, Math.min(readBytes, slabBytes - end));
      end += read;
      cutter.advance(end);
      Atomics.add(counter, 0, BigInt(read));
      ended = read === 0 || Atomics.load(states, slabs.length) !== 0;
    }
    send({ type: 'slab', slab: n, places: cutter.finish(ended), isLast: ended, surplus: artifact.surplus });
  }
}

class BrokenOff extends Error {}

/** The bytes of one artifact: all that comes out of the pipe, or what its frames hold. */
class ArtifactReader {
  readonly #job: ReadJob;
  readonly #frames: FrameRun | undefined;
  isBegun = false;
  /** What was read of the pipe and is not the artifact's. */
  surplus: Uint8Array = new Uint8Array(0);

  constructor(job: ReadJob) {
    this.#job = job;
    this.#frames = job.frames === undefined ? undefined : new FrameRun(job.frames.begin);
  }

  /** What is there already. Returns where it ends. */
  begin(slab: Buffer, at: number): number {
    this.isBegun = true;
    const { head, frames } = this.#job;
    slab.set(head, at);
    if (frames === undefined) return at + head.length;
    slab.set(frames.read, at + head.length);
    return this.#framesEnd(slab, at + head.length, frames.read.length);
  }

  /** 0: it is at its end. */
  read(slab: Buffer, at: number, bytes: number): number {
    if (this.#frames?.isOver === true) return 0;
    const read = readSync(this.#job.fd, slab, at, bytes, null);
    if (read === 0 && this.#frames !== undefined) throw new BrokenOff('it broke off');
    return this.#framesEnd(slab, at, read) - at;
  }

  #framesEnd(slab: Buffer, at: number, bytes: number): number {
    if (this.#frames === undefined) return at + bytes;
    const end = this.#frames.advance(slab, at, at + bytes);
    // A copy: the slab is cut on from there.
    if (end < at + bytes) this.surplus = new Uint8Array(slab.subarray(end, at + bytes));
    return end;
  }
}

/** Waits until the slab is free and takes it. */
function take(states: Int32Array, n: number): void {
  while (Atomics.compareExchange(states, n, slabFree, slabTaken) !== slabFree) Atomics.wait(states, n, slabTaken);
}

function send(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}
