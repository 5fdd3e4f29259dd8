/** What keeps a receiver from its work at the moment: told once when it begins and once when it is over. */
import type { RunContext } from '../../../lib/events.ts';
import { LongTimer } from '../../../lib/long-timer.ts';

export type TroubleKind = 'server' | 'storage' | 'spool';

export class Trouble {
  readonly #emit: RunContext['emit'];
  readonly #now = new Map<TroubleKind, string>();

  constructor(emit: RunContext['emit']) {
    this.#emit = emit;
  }

  /** Undefined: none. */
  get message(): string | undefined {
    return this.#now.size === 0 ? undefined : [...this.#now.values()].join('; ');
  }

  is(kind: TroubleKind, message: string): void {
    // Not at every try: an outage of a night is one line, and one more when it looks different.
    if (this.#now.get(kind) !== message) {
      this.#emit({ type: this.#now.has(kind) ? 'step' : 'warning', component: 'wal', message });
    }
    this.#now.set(kind, message);
  }

  over(kind: TroubleKind): void {
    if (!this.#now.delete(kind)) return;
    this.#emit({
      type: 'step',
      component: 'wal',
      message: {
        server: 'the server streams again',
        storage: 'the repository takes it again',
        spool: 'there is room again',
      }[kind],
    });
  }
}

/** Resolves after that time, or at once when the signal is aborted. */
export async function pauseUntil(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  using _ = new LongTimer(ms, end);
  signal.addEventListener('abort', end, { once: true });
  await promise;
  signal.removeEventListener('abort', end);
}
