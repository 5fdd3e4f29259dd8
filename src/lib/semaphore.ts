import { availableParallelism } from 'node:os';

/** libuv's threads, as bin/lifeboat.js has them started: more work than that at once would only wait. */
export const libuvThreads = Math.max(4, availableParallelism());

/** Bounds how many do something at once, first come, first served. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  async acquire(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
