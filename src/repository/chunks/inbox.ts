/** What a reader thread tells, in order, until it ends. */
import type { Worker } from 'node:worker_threads';
import { messageOf } from '../../lib/errors.ts';
import type { WorkerMessage } from './protocol.ts';

/** Messages of a worker as a queue, for as long as it lives: nobody waits for a message of one that has ended. */
export class Inbox {
  readonly #queue: WorkerMessage[] = [];
  #waiting: (() => void)[] = [];
  #failure: Error | undefined;

  constructor(worker: Worker) {
    worker.on('message', (message: WorkerMessage) => {
      this.#queue.push(message);
      this.#wake();
    });
    worker.on('error', (error: unknown) => this.#close(error));
    worker.on('exit', () => this.#close(new Error('it ended')));
  }

  /** No message comes any more. */
  get isClosed(): boolean {
    return this.#failure !== undefined;
  }

  /** Resolves when there is a message to take. Takes none itself: whoever waits may have been given up meanwhile. */
  async ready(): Promise<void> {
    while (this.#queue.length === 0) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  take(): WorkerMessage | undefined {
    return this.#queue.shift();
  }

  /** What it died of is told first, then that it has ended. */
  #close(error: unknown): void {
    this.#failure ??= new Error(`the reader thread failed: ${messageOf(error)}`, { cause: error });
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
