/** A producer that stands still is not waited for for ever. */
import { LifeboatError } from '../../lib/errors.ts';
import { LongTimer } from '../../lib/long-timer.ts';

export interface HangOptions {
  /** So long without a byte from the producer (while we are ready for it) fails the stream. */
  readonly hangTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** Rejects when the run is aborted, or when `progress` says the same for the whole hang time-out. */
export async function withHangAlarm<T>(
  next: Promise<T>,
  { hangTimeoutMs, signal }: HangOptions,
  progress: () => string,
): Promise<T> {
  let timer: LongTimer | undefined;
  let onAbort: (() => void) | undefined;
  const alarm = new Promise<never>((_, reject) => {
    const watch = (last: string): void => {
      timer = new LongTimer(hangTimeoutMs, () => {
        const now = progress();
        if (now === last) {
          reject(
            new LifeboatError('source', `hung: no byte came for ${Math.round(hangTimeoutMs / 1000)} s`, {
              retryable: true,
              hint: 'look for locks and a full disk on the server; hangTimeoutSeconds sets the limit',
            }),
          );
        } else watch(now);
      });
    };
    watch(progress());
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([next, alarm]);
  } finally {
    timer?.[Symbol.dispose]();
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
