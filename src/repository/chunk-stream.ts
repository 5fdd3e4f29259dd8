/**
 * A stream of bytes as a stream of chunks. Bytes of a program come through a FIFO and a thread of their
 * own (chunk-worker.ts); bytes that our own code makes are cut right here.
 */
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LifeboatError, messageOf } from '../lib/errors.ts';
import { runTool } from '../lib/exec.ts';
import { withScratchFolder } from '../lib/fs.ts';
import type { ArtifactBody } from '../source/source.ts';
import { chunkIdOf } from './box.ts';
import { slabBytes, slabFree, slabsPerStream, type WorkerMessage } from './chunk-protocol.ts';
import { cutMasks, findCut, type ChunkSizes } from './gear.ts';

export interface Chunk {
  readonly id: Buffer;
  /** Valid until its slab is released. */
  readonly plain: Uint8Array;
}

/** Chunks that lie in one buffer, hashed as they are asked for, to be walked once; `release` lets the buffer be used again. */
export interface Slab {
  readonly count: number;
  readonly chunks: Iterable<Chunk>;
  release(): void;
}

export interface ChunkingOptions {
  readonly gear: Uint32Array;
  readonly idKey: Buffer | undefined;
  readonly sizes: ChunkSizes;
  /** So long without a byte from the producer (while we are ready for it) fails the stream. */
  readonly hangTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** Reader threads, kept from one stream to the next; at most as many as streams run side by side. */
export class ChunkThreads {
  readonly #idle: ChunkThread[] = [];
  readonly #all = new Set<ChunkThread>();

  /** Chunks of an artifact's body, in order. Throws if the body fails, hangs, or ends early. */
  async *cut(body: ArtifactBody, options: ChunkingOptions): AsyncGenerator<Slab> {
    if (body.from === 'stream') return yield* cutHere(body.stream, options);
    const thread = this.#idle.pop() ?? new ChunkThread();
    this.#all.add(thread);
    try {
      yield* thread.cut(body, options);
    } finally {
      this.#idle.push(thread);
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((thread) => thread.close()));
  }
}

class ChunkThread {
  readonly #worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './chunk-worker.ts' : './chunk-worker.js', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 },
    env: {},
    execArgv: [],
  });
  readonly #slabs = Array.from({ length: slabsPerStream }, () => new SharedArrayBuffer(slabBytes));
  readonly #states = new SharedArrayBuffer(4 * (slabsPerStream + 1));
  readonly #counter = new SharedArrayBuffer(8);

  constructor() {
    this.#worker.unref();
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  async *cut(body: Extract<ArtifactBody, { from: 'tool' }>, options: ChunkingOptions): AsyncGenerator<Slab> {
    const inbox = new Inbox(this.#worker);
    const ending = new AbortController();
    const { readFd, writeFd } = await openFifo();
    let running: { readonly done: Promise<void> } | undefined;
    let reading = false;
    try {
      try {
        running = await body.run(writeFd, AbortSignal.any([options.signal, ending.signal]));
        running.done.catch(() => {});
      } finally {
        closeSync(writeFd);
      }
      new Int32Array(this.#states).fill(0);
      reading = true;
      this.#worker.postMessage({ fd: readFd, slabs: this.#slabs, states: this.#states, counter: this.#counter, gear: options.gear, sizes: options.sizes });
      yield* this.#slabsFrom(inbox, options);
      reading = false;
      await running.done;
    } finally {
      // Ends the program if we are leaving early; its end closes the FIFO and so frees the thread.
      ending.abort(new LifeboatError('source', 'the stream was given up'));
      await running?.done.catch(() => {});
      // The descriptor must not be closed (and its number reused) under the thread's hands.
      if (reading) await this.#untilThreadStops(inbox);
      inbox.close();
      closeSync(readFd);
    }
  }

  async #untilThreadStops(inbox: Inbox): Promise<void> {
    const states = new Int32Array(this.#states);
    Atomics.store(states, slabsPerStream, 1);
    for (;;) {
      for (let n = 0; n < slabsPerStream; n++) {
        Atomics.store(states, n, slabFree);
        Atomics.notify(states, n);
      }
      const message = await inbox.next().catch(() => ({ type: 'end' }) as const);
      if (message.type !== 'slab') return;
    }
  }

  async *#slabsFrom(inbox: Inbox, options: ChunkingOptions): AsyncGenerator<Slab> {
    const states = new Int32Array(this.#states);
    const counter = new BigInt64Array(this.#counter);
    // Silence of a thread that waits for a slab of ours is not the producer's.
    const progress = (): string => `${Atomics.load(counter, 0)} ${states.subarray(0, slabsPerStream).every((state) => state !== slabFree)}`;
    for (;;) {
      const message = await withHangAlarm(inbox.next(), options, progress);
      if (message.type === 'end') return;
      if (message.type === 'failed') throw new LifeboatError('source', `cannot read the stream: ${message.message}`);
      const buffer = this.#slabs[message.slab] as SharedArrayBuffer;
      yield {
        count: message.chunks.length / 2,
        chunks: chunksOf(Buffer.from(buffer), message.chunks, options.idKey),
        release: () => {
          Atomics.store(states, message.slab, slabFree);
          Atomics.notify(states, message.slab);
        },
      };
    }
  }
}

/** Messages of a worker as a queue. */
class Inbox {
  readonly #queue: WorkerMessage[] = [];
  #wake: (() => void) | undefined;
  #failure: Error | undefined;
  readonly #worker: Worker;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', this.#onMessage).on('error', this.#onError).on('exit', this.#onExit).ref();
  }

  async next(): Promise<WorkerMessage> {
    for (;;) {
      const message = this.#queue.shift();
      if (message !== undefined) return message;
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#worker.off('message', this.#onMessage).off('error', this.#onError).off('exit', this.#onExit).unref();
  }

  readonly #onMessage = (message: WorkerMessage): void => {
    this.#queue.push(message);
    this.#wake?.();
  };

  readonly #onError = (error: unknown): void => {
    this.#failure = new Error(`the reader thread failed: ${messageOf(error)}`, { cause: error });
    this.#wake?.();
  };

  readonly #onExit = (): void => {
    this.#onError(new Error('it ended'));
  };
}

/** Rejects when the run is aborted, or when `progress` says the same for the whole hang time-out. */
async function withHangAlarm<T>(next: Promise<T>, { hangTimeoutMs, signal }: ChunkingOptions, progress: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const alarm = new Promise<never>((_, reject) => {
    const watch = (last: string): void => {
      timer = setTimeout(() => {
        const now = progress();
        if (now === last) reject(new LifeboatError('source', `hung: no byte came for ${Math.round(hangTimeoutMs / 1000)} s`, { retryable: true, hint: 'look for locks and a full disk on the server; hangTimeoutSeconds sets the limit' }));
        else watch(now);
      }, hangTimeoutMs);
    };
    watch(progress());
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([next, alarm]);
  } finally {
    clearTimeout(timer);
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}

/** A FIFO without a name: both ends open, nothing left on disk. Opened r+ first, since each end alone would wait for the other. */
async function openFifo(): Promise<{ readFd: number; writeFd: number }> {
  return withScratchFolder(async (folder) => {
    const path = join(folder, 'fifo');
    await runTool({ file: 'mkfifo', args: ['-m', '600', path] });
    const both = openSync(path, 'r+');
    try {
      const readFd = openSync(path, constants.O_RDONLY);
      return { readFd, writeFd: openSync(path, constants.O_WRONLY) };
    } finally {
      closeSync(both);
      rmSync(path);
    }
  });
}

function* chunksOf(slab: Buffer, places: readonly number[], idKey: Buffer | undefined): Generator<Chunk> {
  for (let i = 0; i < places.length; i += 2) {
    const offset = places[i] as number;
    const plain = slab.subarray(offset, offset + (places[i + 1] as number));
    yield { id: chunkIdOf(idKey, plain), plain };
  }
}

/** The same cuts for bytes that are made in this thread, through a ring of slabs like the reader thread's. */
async function* cutHere(stream: AsyncIterable<Uint8Array>, options: ChunkingOptions): AsyncGenerator<Slab> {
  const iterator = stream[Symbol.asyncIterator]();
  const cutter = new Cutter(options);
  try {
    for (;;) {
      const next = await withHangAlarm(iterator.next(), options, () => '');
      if (next.done === true) break;
      for (let rest = cutter.fill(next.value); ; rest = cutter.fill(rest)) {
        if (!cutter.isFull) break;
        yield cutter.handOver();
        await withHangAlarm(cutter.nextIsFree(), { ...options, hangTimeoutMs: maxTimerMs }, () => '');
        cutter.goOn();
      }
    }
    yield cutter.handOverLast();
  } finally {
    await iterator.return?.();
  }
}

const maxTimerMs = 2 ** 31 - 1;

/** Cut points over a ring of slabs. An unfinished chunk is copied to the start of the next slab. */
class Cutter {
  readonly #options: ChunkingOptions;
  readonly #masks: { readonly strict: number; readonly loose: number };
  readonly #slabs: { readonly buffer: Buffer; free: Promise<void> }[] = [];
  #n = 0;
  #start = 0;
  #scanned = 0;
  #end = 0;
  /** Offset and length by turns. */
  #chunks: number[] = [];

  constructor(options: ChunkingOptions) {
    this.#options = options;
    this.#masks = cutMasks(options.sizes);
  }

  get isFull(): boolean {
    return this.#end === slabBytes;
  }

  /** Takes what fits, finds its cuts, returns the rest. */
  fill(data: Uint8Array): Uint8Array {
    const { gear, sizes } = this.#options;
    const { strict, loose } = this.#masks;
    const { buffer } = this.#slab(this.#n);
    const part = data.subarray(0, slabBytes - this.#end);
    buffer.set(part, this.#end);
    this.#end += part.length;
    for (let cut = 0; (cut = findCut(buffer, this.#start, this.#scanned, this.#end, gear, sizes, strict, loose)) !== -1; ) {
      this.#chunks.push(this.#start, cut - this.#start);
      this.#start = this.#scanned = cut;
    }
    this.#scanned = this.#end;
    return data.subarray(part.length);
  }

  handOver(): Slab {
    const chunks = this.#chunks;
    this.#chunks = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const slab = this.#slab(this.#n);
    slab.free = promise;
    return { count: chunks.length / 2, chunks: chunksOf(slab.buffer, chunks, this.#options.idKey), release: resolve };
  }

  handOverLast(): Slab {
    if (this.#end > this.#start) this.#chunks.push(this.#start, this.#end - this.#start);
    return this.handOver();
  }

  nextIsFree(): Promise<void> {
    return this.#slab((this.#n + 1) % slabsPerStream).free;
  }

  goOn(): void {
    const full = this.#slab(this.#n).buffer;
    this.#n = (this.#n + 1) % slabsPerStream;
    this.#end = full.copy(this.#slab(this.#n).buffer, 0, this.#start, this.#end);
    this.#scanned = this.#end;
    this.#start = 0;
  }

  #slab(n: number): { readonly buffer: Buffer; free: Promise<void> } {
    return (this.#slabs[n] ??= { buffer: Buffer.allocUnsafeSlow(slabBytes), free: Promise.resolve() });
  }
}
