/** Tasks that run until a test ends them, and whether a promise has settled yet. */
import { setImmediate as turn } from 'node:timers/promises';

/** Tasks that end when they are told to; `most` is how many of them ran at once. */
export class HeldTasks {
  running = 0;
  most = 0;
  readonly begun: number[] = [];
  readonly ended: number[] = [];
  readonly #ends = new Map<number, PromiseWithResolvers<void>>();

  readonly run = async (n: number): Promise<number> => {
    this.begun.push(n);
    this.most = Math.max(this.most, ++this.running);
    const end = Promise.withResolvers<void>();
    this.#ends.set(n, end);
    try {
      await end.promise;
      return n;
    } finally {
      this.running--;
      this.ended.push(n);
    }
  };

  readonly runVoid = async (n: number): Promise<void> => void (await this.run(n));

  async end(n: number): Promise<void> {
    this.#ends.get(n)?.resolve();
    await turn();
  }

  async fail(n: number, error: Error): Promise<void> {
    this.#ends.get(n)?.reject(error);
    await turn();
  }
}

/** Whether a promise has settled by now; takes its rejection. */
export function watch(promise: Promise<unknown>): { settled: boolean } {
  const seen = { settled: false };
  const settle = (): void => void (seen.settled = true);
  promise.then(settle, settle);
  return seen;
}
