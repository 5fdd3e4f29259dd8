/**
 * A program's standard input, written by a thread: a pipe holds 64 KiB, which a busy reader empties in half a
 * millisecond, and the main thread, which opens and decompresses what comes next, is not back by then. The blocking
 * writes of a thread keep the program fed: a restore, which waits for one session of the server, takes a tenth less.
 */
import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { discard } from './collect.ts';
import { openFifo } from './fifo.ts';
import type { InletJob } from './inlet-worker.ts';

/** Pieces that are being written or wait for it. */
const ahead = 2;

export class Inlet {
  readonly #fd: number;
  readonly #worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './inlet-worker.ts' : './inlet-worker.js', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 },
    env: {},
    execArgv: [],
  });
  readonly #answers: PromiseWithResolvers<void>[] = [];
  #open = true;
  #failure: Error | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
    this.#worker.on('message', (taken: boolean) => {
      this.#open &&= taken;
      this.#answers.shift()?.resolve();
    });
    this.#worker.on('error', (error: unknown) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('the writing thread ended')));
  }

  /** Starts a program that gets the other end as its standard input. */
  static async into<T>(start: (stdin: number) => Promise<T>): Promise<{ readonly tool: T; readonly inlet: Inlet }> {
    const { readFd, writeFd } = await openFifo();
    try {
      return { tool: await start(readFd), inlet: new Inlet(writeFd) };
    } catch (error) {
      closeSync(writeFd);
      throw error;
    } finally {
      closeSync(readFd);
    }
  }

  /** Takes the bytes over (they are empty for the caller from then on) and resolves when there is room for more; to false once the program reads no more. */
  async write(bytes: Uint8Array): Promise<boolean> {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#open) {
      discard(bytes);
      return false;
    }
    this.#answers.push(Promise.withResolvers());
    const own = ownBuffer(bytes);
    this.#worker.postMessage({ fd: this.#fd, bytes: own } satisfies InletJob, [own.buffer]);
    if (this.#answers.length >= ahead) await this.#answers[0]?.promise;
    return this.#open;
  }

  /** Resolves when all is written, or the program reads no more: what it reads then is the end. */
  async close(): Promise<void> {
    try {
      await Promise.all(this.#answers.map(({ promise }) => promise));
    } finally {
      this.#worker.removeAllListeners('exit');
      await this.#worker.terminate();
      closeSync(this.#fd);
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    for (const { reject } of this.#answers.splice(0)) reject(this.#failure);
  }
}

/** A part of a larger buffer cannot be handed over without the rest. */
function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes;
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}
