/**
 * Several segments are pushed side by side and may arrive out of order: a hole that was just seen near the end of an
 * archive may be closed a moment later. Whoever would speak of a gap looks again first.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** A push has no more segments under way at a time: a hole farther from the end is none of its. */
export const pushedAtOnce = 16;
const pauseMs = 1500;

/** What is seen; seen once more where `isUnsettled`, for good or bad. */
export async function settled<T>(look: () => Promise<T>, isUnsettled: (seen: T) => boolean): Promise<T> {
  const seen = await look();
  if (!isUnsettled(seen)) return seen;
  await sleep(pauseMs);
  return look();
}
