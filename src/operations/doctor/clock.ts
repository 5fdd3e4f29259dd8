/**
 * Two clocks: that of this host and that of a server or storage. Retention, leases and recovery to a moment rest on
 * them.
 */
import { formatDuration } from '../../lib/time.ts';
import { failed, passed, warned } from './check.ts';
import type { DoctorCheck } from './request.ts';

const warnAboveMs = 2 * 60_000;
/** cleanup refuses to work beyond this. */
const failAboveMs = 10 * 60_000;

/**
 * Milliseconds by which another clock is ahead of ours (negative: behind). `read` gives its time; the
 * way there and back, and steps of `resolutionMs`, count as no difference.
 */
export async function clockDifference(read: () => Promise<number>, resolutionMs: number): Promise<number> {
  const beforeMs = Date.now();
  const otherMs = await read();
  const afterMs = Date.now();
  if (otherMs < beforeMs - resolutionMs) return otherMs - beforeMs;
  return otherMs > afterMs ? otherMs - afterMs : 0;
}

/** `what`: "the storage", "the server". */
export function judgeClock(name: string, what: string, differenceMs: number): DoctorCheck {
  const difference = Math.abs(differenceMs);
  if (difference <= warnAboveMs) {
    const close = difference < 1000 ? 'agrees with' : `${formatDuration(difference)} from`;
    return passed(name, `${close} that of ${what}`);
  }
  const side = differenceMs > 0 ? 'behind' : 'ahead of';
  const message = `this host's clock is ${formatDuration(difference)} ${side} that of ${what}`;
  const hint = 'set both by NTP (timedatectl set-ntp true)';
  return difference > failAboveMs
    ? failed(name, `${message}; cleanup and recovery to a moment would go by wrong times`, hint, 'usage')
    : warned(name, message, hint);
}
