/** Works on items side by side and yields the results in order. */

/** At most `ahead` results are under way or waiting. On early exit or failure the work under way is awaited, its outcome ignored. */
export async function* readAhead<T, R>(items: AsyncIterable<T>, work: (item: T) => Promise<R>, ahead: number): AsyncGenerator<R> {
  const queue: Promise<R>[] = [];
  try {
    for await (const item of items) {
      const result = work(item);
      result.catch(() => {});
      queue.push(result);
      if (queue.length >= ahead) yield await (queue.shift() as Promise<R>);
    }
    while (queue.length > 0) yield await (queue.shift() as Promise<R>);
  } finally {
    await Promise.allSettled(queue);
  }
}
