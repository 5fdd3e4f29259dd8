/**
 * Standard inputs of programs, written by a thread: a pipe holds 64 KiB, which a busy reader empties in half a
 * millisecond, and the main thread, which opens and decompresses what comes next, is not back by then. A thread that
 * has nothing else to do keeps the programs fed: a restore, which waits for one session of the server, takes a tenth
 * less.
 */
import { closeSync } from 'node:fs';
import { discard } from './collect.ts';
import { openFifo } from './fifo.ts';
import type { InletAnswer, InletJob } from './inlet-worker.ts';
import { startThread } from './thread.ts';

/** Pieces of one program that are being written or wait for it. */
const ahead = 2;

/** One thread, for any number of programs side by side. */
export class Inlets implements AsyncDisposable {
  readonly #worker = startThread(import.meta.url, 'inlet-worker');
  readonly #inlets = new Map<number, Inlet>();
  readonly #ended = Promise.withResolvers<void>();
  /** Pipes that no thread closes any more. */
  readonly #orphans: number[] = [];
  #pipes = 0;
  #failure: Error | undefined;

  constructor() {
    this.#worker.on('message', ({ pipe, taken }: InletAnswer) => this.#inlets.get(pipe)?.answered(taken));
    this.#worker.on('error', (error: unknown) => this.#fail(error));
    this.#worker.on('exit', () => {
      this.#fail(new Error('the writing thread ended'));
      this.#ended.resolve();
    });
  }

  /** Starts a program that gets the other end of a pipe as its standard input. */
  async into<T>(start: (stdin: number) => Promise<T>): Promise<{ readonly tool: T; readonly inlet: Inlet }> {
    if (this.#failure !== undefined) throw this.#failure;
    const { readFd, writeFd } = await openFifo();
    let tool: T;
    try {
      tool = await start(readFd);
    } catch (error) {
      closeSync(writeFd);
      throw error;
    } finally {
      closeSync(readFd);
    }
    const pipe = this.#pipes++;
    const post = (job: InletJob, owned: readonly ArrayBuffer[] = []): void => this.#worker.postMessage(job, owned);
    const inlet = new Inlet(pipe, post, () => this.#inlets.delete(pipe));
    if (this.#failure === undefined) {
      post({ pipe, fd: writeFd });
      this.#inlets.set(pipe, inlet);
    } else {
      // It died while the program was started. The program must not read an end of its input before it is ended.
      this.#orphans.push(writeFd);
      inlet.fail(this.#failure);
    }
    return { tool, inlet };
  }

  /** Closes what is still open: a program that has not been ended before takes that for the end of its input. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker.postMessage('quit' satisfies InletJob);
    await this.#ended.promise;
    for (const fd of this.#orphans) closeSync(fd);
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    for (const inlet of this.#inlets.values()) inlet.fail(this.#failure);
    this.#inlets.clear();
  }
}

/** The standard input of one program. */
export class Inlet {
  readonly #pipe: number;
  readonly #post: (job: InletJob, owned?: readonly ArrayBuffer[]) => void;
  readonly #onClosed: () => void;
  readonly #answers: PromiseWithResolvers<void>[] = [];
  #isRead = true;
  #failure: Error | undefined;

  constructor(pipe: number, post: (job: InletJob, owned?: readonly ArrayBuffer[]) => void, onClosed: () => void) {
    this.#pipe = pipe;
    this.#post = post;
    this.#onClosed = onClosed;
  }

  /**
   * Takes the bytes over (they are empty for the caller from then on) and resolves when there is room for more; to
   * false once the program reads no more.
   */
  async write(bytes: Uint8Array): Promise<boolean> {
    if (!this.#isRead) {
      discard(bytes);
      return false;
    }
    const own = ownBuffer(bytes);
    this.#ask().catch(() => {});
    this.#post({ pipe: this.#pipe, bytes: own }, [own.buffer]);
    if (this.#answers.length >= ahead) await this.#answers[0]?.promise;
    return this.#isRead;
  }

  /**
   * Resolves when all is written, or the program reads no more, and the pipe is closed: what it reads then is the end.
   */
  async close(): Promise<void> {
    const answer = this.#ask();
    this.#post({ pipe: this.#pipe, end: true });
    await answer;
    this.#onClosed();
  }

  /** The thread is done with the oldest job. */
  answered(taken: boolean): void {
    this.#isRead &&= taken;
    this.#answers.shift()?.resolve();
  }

  fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#answers.splice(0)) reject(error);
  }

  /** The answer to what is posted next. */
  #ask(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const answer = Promise.withResolvers<void>();
    this.#answers.push(answer);
    return answer.promise;
  }
}

/** A part of a larger buffer cannot be handed over without the rest. */
function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes;
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength
    ? (bytes as Uint8Array<ArrayBuffer>)
    : new Uint8Array(bytes);
}
