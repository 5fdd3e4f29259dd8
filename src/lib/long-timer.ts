/**
 * Timers of any length. Node's own hold 2^31 - 1 ms, 24.8 days: a longer one fires at once. Times that somebody
 * configures go through here.
 */

/** What one timer of Node's can hold. */
const longestMs = 2 ** 31 - 1;

/** Calls `work` once after that time (milliseconds), unless it is disposed of before. Keeps the process running. */
export class LongTimer implements Disposable {
  #timer: NodeJS.Timeout | undefined;
  #keepsRunning = true;

  constructor(ms: number, work: () => void) {
    this.#wait(ms, work);
  }

  /** The process may end before it. */
  unref(): this {
    this.#keepsRunning = false;
    this.#timer?.unref();
    return this;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #wait(leftMs: number, work: () => void): void {
    const nowMs = Math.min(leftMs, longestMs);
    this.#timer = setTimeout(() => (leftMs > nowMs ? this.#wait(leftMs - nowMs, work) : work()), nowMs);
    if (!this.#keepsRunning) this.#timer.unref();
  }
}

/** A signal that is aborted for `reason` after that time (milliseconds). The process may end before it. */
export function abortAfter(ms: number, reason?: unknown): AbortSignal {
  const limit = new AbortController();
  new LongTimer(ms, () => limit.abort(reason)).unref();
  return limit.signal;
}
