/**
 * Several segments are pushed side by side and may arrive out of order: a hole that was just seen near the end of an
 * archive may be closed a moment later. Whoever would speak of a gap looks again first.
 */
import { setTimeout as sleep } from 'node:timers/promises';

const pauseMs = 1500;
/** Longer than a push tries to reach its storage: nothing that was stored before is of one that is under way. */
const pushLastsMs = 60_000;

/** What somebody saw, and when the newest of it was stored, by the storage's clock. */
export interface Seen<T> {
  readonly seen: T;
  readonly newestMs: number;
}

/** What is seen; seen once more where `isUnsettled` and something came of late, for good or bad. */
export async function settled<T>(look: () => Promise<Seen<T>>, isUnsettled: (seen: T) => boolean): Promise<T> {
  const { seen, newestMs } = await look();
  if (!isUnsettled(seen) || Date.now() - newestMs > pushLastsMs) return seen;
  await sleep(pauseMs);
  return (await look()).seen;
}
