/** From signals to one AbortSignal: the first ends the work in good order, the second ends the process. */
import { AbortedError } from './errors.ts';

const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `work` with an AbortSignal that SIGINT, SIGTERM and SIGHUP abort. Once one has come, `work` ends
 * with that AbortedError, whatever it failed with on the way. A second signal ends the process at once.
 */
export async function withSignals<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (!controller.signal.aborted) return controller.abort(new AbortedError(name as (typeof endingSignals)[number]));
    // Without our listeners the signal does what it does by itself: end the process.
    stopListening();
    process.kill(process.pid, name);
  };
  const stopListening = (): void => {
    for (const name of endingSignals) process.removeListener(name, onSignal);
  };
  for (const name of endingSignals) process.on(name, onSignal);
  try {
    // Done although asked to stop: what was done is told, not the signal.
    return await work(controller.signal);
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    throw error;
  } finally {
    stopListening();
  }
}

/** Calls `tell` on each SIGUSR1 until disposed of. */
export function onStatusRequest(tell: () => void): Disposable {
  process.on('SIGUSR1', tell);
  return { [Symbol.dispose]: () => void process.removeListener('SIGUSR1', tell) };
}

/** What a daemon does on signals; until it is disposed of. */
export interface DaemonSignals {
  /** SIGTERM or SIGINT, each time. */
  readonly stop: () => void;
  /** SIGHUP. */
  readonly reload: () => void;
}

/** Listens to the signals that a daemon gets. */
export function onDaemonSignals({ stop, reload }: DaemonSignals): Disposable {
  process.on('SIGTERM', stop).on('SIGINT', stop).on('SIGHUP', reload);
  return {
    [Symbol.dispose]: () => {
      process.removeListener('SIGTERM', stop).removeListener('SIGINT', stop).removeListener('SIGHUP', reload);
    },
  };
}
