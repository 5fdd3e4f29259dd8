/** Times that others wrote: how far ahead of this host's clock one may be before it counts as made up. */

/** By so much clocks of hosts may differ. */
export const clockToleranceMs = 10 * 60_000;

/** True of a time (RFC 3339) that no clock of ours shows yet, and of what is no time. */
export function isAheadOfClocks(time: string, now = Date.now()): boolean {
  return !(Date.parse(time) <= now + clockToleranceMs);
}
