/**
 * Bounded work side by side, in one module: who waits for a place, what a failure does to the others, who is awaited.
 *
 * In all of it: a task's place is always given back. An abort reaches those that wait: they reject with the signal's
 * reason. After a failure no new task begins, all that run are awaited, and then the first failure is thrown. No more
 * items are taken from a source than there are places for (in order: and one), so that it may be of any length.
 */
import { availableParallelism } from 'node:os';

/** libuv's threads, as bin/lifeboat.js has them started: more work than that at once would only wait. */
export const libuvThreads = Math.max(4, availableParallelism());

/** So many at once and no more, first come, first served; to be shared by whoever must keep within it together. */
export class Places {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(places: number) {
    this.#free = places;
  }

  /** Runs the task when there is a place for it. Rejects with what it throws, or with the reason of `signal`. */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (!this.takeFree()) await this.#wait(signal);
    try {
      signal?.throwIfAborted();
      return await task();
    } finally {
      this.give();
    }
  }

  /** For what is not over when a function ends; `run` where it is. The place must be given back whatever happens. */
  async take(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!this.takeFree()) await this.#wait(signal);
  }

  /** False, without waiting, where there is none. */
  takeFree(): boolean {
    if (this.#free === 0) return false;
    this.#free--;
    return true;
  }

  give(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#free++;
    else next();
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): void => {
      this.#waiting.delete(enter);
      signal?.removeEventListener('abort', onAbort);
    };
    const enter = (): void => {
      leave();
      resolve();
    };
    const onAbort = (): void => {
      leave();
      reject(signal?.reason as Error);
    };
    this.#waiting.add(enter);
    signal?.addEventListener('abort', onAbort);
    return promise;
  }
}

/**
 * Tasks that are started one after the other, by whoever goes on meanwhile. Whoever has started one must see it to its
 * end: by `drain` when all went well, by `abandon` otherwise.
 */
export class TaskGroup {
  /** Aborted with the first failure, or as the signal that was given: for what shall end then. */
  readonly signal: AbortSignal;
  readonly #places: Places;
  readonly #failure = new AbortController();
  #running = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(places: Places, signal?: AbortSignal) {
    this.#places = places;
    this.signal = signal === undefined ? this.#failure.signal : AbortSignal.any([signal, this.#failure.signal]);
  }

  /** Resolves when the task has begun. Throws the first failure, once nothing runs any more. */
  async start(task: () => Promise<void>): Promise<void> {
    try {
      await this.#places.take(this.signal);
    } catch {
      return this.drain();
    }
    if (!this.signal.aborted) return void this.#run(task);
    this.#places.give();
    await this.drain();
  }

  /** Waits until nothing runs. Throws the first failure. */
  async drain(): Promise<void> {
    await this.#settle();
    this.signal.throwIfAborted();
  }

  /** No task begins any more, and none runs when it rejects: with the first failure, `error` if none was before. */
  async abandon(error: unknown): Promise<never> {
    this.#failure.abort(error);
    await this.#settle();
    throw this.signal.reason;
  }

  async #settle(): Promise<void> {
    if (this.#running > 0) await (this.#idle ??= Promise.withResolvers()).promise;
  }

  async #run(task: () => Promise<void>): Promise<void> {
    this.#running++;
    try {
      await task();
    } catch (error) {
      this.#failure.abort(error);
    } finally {
      this.#places.give();
      if (--this.#running === 0) {
        this.#idle?.resolve();
        this.#idle = undefined;
      }
    }
  }
}

/** Calls `task` for each item, at most `limit` (at least 1) at once. `signal` lets no more begin. */
export async function forEachSideBySide<T>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  task: (item: T) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let isOver = false;
  let failure: { readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    try {
      while (!isOver && failure === undefined) {
        signal?.throwIfAborted();
        const next = await source.next();
        signal?.throwIfAborted();
        if (next.done === true) isOver = true;
        else if (failure === undefined) await task(next.value);
      }
    } catch (error) {
      failure ??= { error };
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, limit) }, worker));
  if (failure === undefined) return;
  await close(source);
  throw failure.error;
}

/** A source that is left early. What it says of that is of no interest beside the failure. */
async function close(source: Iterator<unknown> | AsyncIterator<unknown>): Promise<void> {
  try {
    await source.return?.();
  } catch {
    return;
  }
}

/**
 * Yields the results in the order of the items. At most `limit`, and as many more as there are `spare` places, are
 * under way or wait to be taken. Whoever leaves early still waits for what is under way.
 */
export async function* mapInOrder<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  task: (item: T) => Promise<R>,
  limit: number,
  spare = new Places(0),
): AsyncGenerator<R> {
  const queue: Promise<R>[] = [];
  let places = limit;
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown): void => void (failure ??= { error });
  try {
    for await (const item of items) {
      if (queue.length === places && spare.takeFree()) places++;
      if (queue.length === places) yield await (queue.shift() as Promise<R>);
      if (failure !== undefined) break;
      const result = task(item);
      result.catch(fail);
      queue.push(result);
    }
    while (queue.length > 0) yield await (queue.shift() as Promise<R>);
  } catch (error) {
    fail(error);
  } finally {
    await Promise.allSettled(queue);
    for (; places > limit; places--) spare.give();
  }
  if (failure !== undefined) throw failure.error;
}
