/**
 * Tells an outage of the storage once, however many calls it hits: when it begins, now and then while it
 * lasts, and when the storage answers again. Outages that follow each other closely are told as one.
 */

/** One call that is repeated. */
export interface TriedCall {
  /** It failed and will be repeated after a pause. */
  failed(message: string, pauseMs: number): void;
  /** It is over. `answered`: the storage did what was asked, or said why not. */
  ended(answered: boolean): void;
}

/** Starts to watch a call. */
export type Outage = () => TriedCall;

/** After the first line of an outage the next one waits so long; each further pause is twice as long. */
const firstQuietMs = 15_000;
const longestQuietMs = 60_000;

/** `tell` gets plain lines for an operator; `nowMs` any clock that does not jump. */
export function trackOutage(tell: (message: string) => void, nowMs: () => number = () => performance.now()): Outage {
  const waiting = new Set<TriedCall>();
  let failures = 0;
  let sinceMs = 0;
  let isTold = false;
  let quietMs = firstQuietMs;
  let quietUntilMs = -Infinity;
  const failed = (call: TriedCall, message: string, pauseMs: number): void => {
    const now = nowMs();
    if (waiting.size === 0) {
      [failures, sinceMs, isTold] = [0, now, false];
      // Long after the last line it is a new outage, not the old one again.
      if (now > quietUntilMs + quietMs) quietMs = firstQuietMs;
    }
    waiting.add(call);
    failures++;
    if (now < quietUntilMs) return;
    const first = `${message}; trying again in ${(pauseMs / 1000).toFixed(1)} s`;
    tell(
      failures === 1
        ? first
        : `still, after ${seconds(now - sinceMs)}, ${failures} failed tries ` +
            `(${waiting.size === 1 ? '1 call waits' : `${waiting.size} calls wait`}): ${message}`,
    );
    isTold = true;
    quietUntilMs = now + quietMs;
    quietMs = Math.min(2 * quietMs, longestQuietMs);
  };
  return () => {
    const call: TriedCall = {
      failed: (message, pauseMs) => failed(call, message, pauseMs),
      ended: (answered) => {
        if (!waiting.delete(call) || waiting.size > 0 || !answered || !isTold) return;
        tell(`the storage answers again after ${seconds(nowMs() - sinceMs)}; failed tries: ${failures}`);
      },
    };
    return call;
  };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
