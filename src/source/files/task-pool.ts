/**
 * Runs small pieces of work side by side, a bounded number at a time; the first failure is kept and thrown to whoever
 * asks next.
 */
export class TaskPool {
  readonly #limit: number;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Starts `work` as soon as there is room. Throws what earlier work failed with. */
  async start(work: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#limit) await Promise.race(this.#running);
    this.#check();
    const task = work()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(task));
    this.#running.add(task);
  }

  /** Waits until nothing runs; throws what any of it failed with. */
  async drain(): Promise<void> {
    await this.settle();
    this.#check();
  }

  /** Waits until nothing runs, whatever came of it. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running);
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
