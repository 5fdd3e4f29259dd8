/**
 * A stream of bytes as a stream of chunks. Bytes of a program come through a FIFO and a thread of their
 * own, which cuts them (worker.ts); bytes that our own code makes are cut right here.
 */
import { closeSync } from 'node:fs';
import { LifeboatError } from '../../lib/errors.ts';
import { openFifo } from '../../lib/fifo.ts';
import { startThread } from '../../lib/thread.ts';
import type { ArtifactBody, OpenPipe } from '../../source/source.ts';
import { withHangAlarm, type HangOptions } from './hang-alarm.ts';
import { Inbox } from './inbox.ts';
import { slabBytes, slabFree, slabsPerStream, type ReadJob } from './protocol.ts';
import { OwnSlabs, slabOf, type Slab } from './slab.ts';
import type { CutOptions } from './slab-cutter.ts';

export interface ChunkingOptions extends CutOptions, HangOptions {
  /** Of the chunks' ids. */
  readonly idKey: Buffer | undefined;
}

/** Reader threads, kept from one stream to the next; at most as many as streams run side by side. */
export class ChunkThreads {
  readonly #idle: ChunkThread[] = [];
  readonly #all = new Set<ChunkThread>();

  /** Chunks of an artifact's body, in order. Throws if the body fails, hangs, or ends early. */
  async *cut(body: ArtifactBody, options: ChunkingOptions): AsyncGenerator<Slab> {
    if (body.from === 'stream') return yield* cutHere(body.stream, options);
    const thread = this.#take();
    try {
      yield* thread.cut(body, options);
    } finally {
      this.#idle.push(thread);
    }
  }

  /** One that lives: a thread may also die while it is idle. */
  #take(): ChunkThread {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (!idle.isDead) return idle;
      this.#all.delete(idle);
    }
    const fresh = new ChunkThread();
    this.#all.add(fresh);
    return fresh;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((thread) => thread.close()));
  }
}

class ChunkThread {
  readonly #worker = startThread(import.meta.url, 'worker');
  readonly #inbox = new Inbox(this.#worker);
  readonly #slabs = Array.from({ length: slabsPerStream }, newSlab);
  readonly #states = new SharedArrayBuffer(4 * (slabsPerStream + 1));
  readonly #counter = new SharedArrayBuffer(8);
  /** From its job until its last message. */
  #isReading = false;

  constructor() {
    this.#worker.unref();
  }

  get isDead(): boolean {
    return this.#inbox.isClosed;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  async *cut(body: Exclude<ArtifactBody, { from: 'stream' }>, options: ChunkingOptions): AsyncGenerator<Slab> {
    const ending = new AbortController();
    const signal = AbortSignal.any([options.signal, ending.signal]);
    this.#worker.ref();
    let pipe: OpenPipe | undefined;
    try {
      pipe = body.from === 'pipe' ? body.open(signal) : await pipeOf(body, signal);
      pipe.done.catch(() => {});
      this.#begin(pipe, options);
      const surplus = yield* this.#slabsFrom(pipe, options);
      if (pipe.frames === undefined) await pipe.done;
      pipe.release(surplus);
      pipe = undefined;
    } finally {
      // Ends the program if we are leaving early; its end closes the FIFO and so frees the thread.
      ending.abort(new LifeboatError('source', 'the stream was given up'));
      await pipe?.done.catch(() => {});
      // The descriptor must not be closed (and its number reused) under the thread's hands.
      if (this.#isReading) await this.#untilThreadStops();
      this.#worker.unref();
      pipe?.release(new Uint8Array(0));
    }
  }

  #begin({ readFd, head, frames }: OpenPipe, { gear, sizes }: ChunkingOptions): void {
    new Int32Array(this.#states).fill(0);
    this.#isReading = true;
    this.#worker.postMessage({
      fd: readFd,
      head,
      frames,
      slabs: this.#slabs,
      states: this.#states,
      counter: this.#counter,
      gear,
      sizes,
    } satisfies ReadJob);
  }

  /** Takes the messages that it still sends, so that the next stream finds none of them. */
  async #untilThreadStops(): Promise<void> {
    const states = new Int32Array(this.#states);
    Atomics.store(states, slabsPerStream, 1);
    for (;;) {
      for (let n = 0; n < slabsPerStream; n++) {
        Atomics.store(states, n, slabFree);
        Atomics.notify(states, n);
      }
      const isAlive = await this.#inbox.ready().then(
        () => true,
        () => false,
      );
      const message = this.#inbox.take();
      if (isAlive && message?.type !== 'failed' && message?.isLast !== true) continue;
      this.#isReading = false;
      return;
    }
  }

  /** Returns what was read beyond the end. */
  async *#slabsFrom({ done }: OpenPipe, options: ChunkingOptions): AsyncGenerator<Slab, Uint8Array> {
    const states = new Int32Array(this.#states);
    const counter = new BigInt64Array(this.#counter);
    // Silence of a thread that waits for a slab of ours is not the producer's.
    const progress = (): string =>
      `${Atomics.load(counter, 0)} ${states.subarray(0, slabsPerStream).every((state) => state !== slabFree)}`;
    let surplus: Uint8Array = new Uint8Array(0);
    for (let isLast = false; !isLast;) {
      await withHangAlarm(this.#inbox.ready(), options, progress);
      const message = this.#inbox.take();
      if (message === undefined) continue;
      this.#isReading = message.type === 'slab' && !message.isLast;
      if (message.type === 'failed') {
        // What the program died of is why.
        if (message.brokeOff) await withHangAlarm(done, options, () => '');
        throw new LifeboatError('source', `cannot read the stream: ${message.message}`);
      }
      ({ isLast, surplus } = message);
      yield slabOf(Buffer.from(this.#slabs[message.slab] as SharedArrayBuffer), message.places, options.idKey, () => {
        Atomics.store(states, message.slab, slabFree);
        Atomics.notify(states, message.slab);
      });
    }
    return surplus;
  }
}

/** Starts a program on a FIFO of its own. */
async function pipeOf({ run }: Extract<ArtifactBody, { from: 'tool' }>, signal: AbortSignal): Promise<OpenPipe> {
  const { readFd, writeFd } = await openFifo();
  const release = (): void => closeSync(readFd);
  try {
    const { done } = await run(writeFd, signal);
    return { head: new Uint8Array(0), readFd, done, release };
  } catch (error) {
    release();
    throw error;
  } finally {
    closeSync(writeFd);
  }
}

/**
 * Touched as a whole at once: neither the length of a stream nor that of its longest chunk shall decide what memory a
 * backup needs.
 */
function newSlab(): SharedArrayBuffer {
  const slab = new SharedArrayBuffer(slabBytes);
  new Uint8Array(slab).fill(0);
  return slab;
}

async function* cutHere(stream: AsyncIterable<Uint8Array>, options: ChunkingOptions): AsyncGenerator<Slab> {
  const iterator = stream[Symbol.asyncIterator]();
  const slabs = new OwnSlabs(options);
  try {
    for (;;) {
      const next = await withHangAlarm(iterator.next(), options, () => '');
      if (next.done === true) break;
      for (let rest = slabs.fill(next.value); rest.length > 0; rest = slabs.fill(rest)) {
        yield slabs.handOver(false);
        await withHangAlarm(slabs.free, { ...options, hangTimeoutMs: maxTimerMs }, () => '');
      }
    }
    yield slabs.handOver(true);
  } finally {
    await iterator.return?.();
  }
}

const maxTimerMs = 2 ** 31 - 1;
