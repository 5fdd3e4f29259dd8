/**
 * Repeats what may pass on a second try, with growing pauses and equal jitter: half of a pause is fixed, half random.
 */
import { pause } from './pause.ts';

export interface RetryOptions {
  /** How long to go on trying, in milliseconds, counted from the first failure. */
  readonly budgetMs: number;
  /** First pause; doubles up to `maxPauseMs`. */
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
  readonly isTransient: (error: unknown) => boolean;
  readonly signal?: AbortSignal;
  /** Told before each pause. */
  readonly onRetry?: (error: unknown, attempt: number, pauseMs: number) => void;
}

/** Calls `work` until it resolves, fails for good, or the budget is used up (then the last error is thrown). */
export async function retry<T>(work: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  let giveUpAt: number | undefined;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (!options.isTransient(error)) throw error;
      giveUpAt ??= performance.now() + options.budgetMs;
      const ceilingMs = Math.min(options.maxPauseMs, options.firstPauseMs * 2 ** (attempt - 1));
      const pauseMs = ceilingMs / 2 + Math.random() * (ceilingMs / 2);
      if (performance.now() + pauseMs > giveUpAt) throw error;
      options.onRetry?.(error, attempt, pauseMs);
      await pause(pauseMs, options.signal);
    }
  }
}
