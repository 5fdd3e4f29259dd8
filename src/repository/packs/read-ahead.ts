/** Works on items side by side and yields the results in order. */

/** Places that several streams share: whoever asks first has them, until it ends. Nobody waits for one. */
export class SparePlaces {
  #left: number;

  constructor(places: number) {
    this.#left = places;
  }

  take(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }

  give(places: number): void {
    this.#left += places;
  }
}

/**
 * At most `own` results, and as many more as there are spare places, are under way or waiting. On early exit or failure
 * the work under way is awaited, its outcome ignored.
 */
export async function* readAhead<T, R>(
  items: AsyncIterable<T>,
  work: (item: T) => Promise<R>,
  own: number,
  spare: SparePlaces,
): AsyncGenerator<R> {
  const queue: Promise<R>[] = [];
  let places = own;
  try {
    for await (const item of items) {
      if (queue.length === places && spare.take()) places++;
      if (queue.length === places) yield await (queue.shift() as Promise<R>);
      const result = work(item);
      result.catch(() => {});
      queue.push(result);
    }
    while (queue.length > 0) yield await (queue.shift() as Promise<R>);
  } finally {
    spare.give(places - own);
    await Promise.allSettled(queue);
  }
}
