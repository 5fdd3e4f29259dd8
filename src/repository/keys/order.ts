/**
 * Which time a new data key bears. Writers go by it: the newest one that they open is written under. So it must be
 * later than every one that counts, and one that no clock shows may not set the pace.
 */
import { LifeboatError } from '../../lib/errors.ts';
import { isAheadOfClocks } from '../clocks.ts';

interface Dated {
  /** 32 hex digits. */
  readonly id: string;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
}

/**
 * The time of a data key that is to be newer than `before`, the newest one that counts. Throws LifeboatError `key`
 * where that would be ahead of all clocks: no later one could ever be newer.
 */
export function timeOfNext(before: Dated | undefined, now = Date.now()): string {
  if (before === undefined) return new Date(now).toISOString();
  const createdAt = new Date(Math.max(now, Date.parse(before.createdAt) + 1)).toISOString();
  if (!isAheadOfClocks(createdAt, now)) return createdAt;
  throw new LifeboatError(
    'key',
    `no data key can be started that is newer than ${before.id}: that one says it was made at ${before.createdAt}, ` +
      `and here it is ${new Date(now).toISOString()}`,
    {
      state: 'nothing was changed',
      hint:
        `set this host's clock by NTP; if it is right, move keys/${before.id}.json out of the repository ` +
        '(each backup under it holds a copy, so it stays readable)',
    },
  );
}
