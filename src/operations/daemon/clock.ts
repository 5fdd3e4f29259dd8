/** The clocks that a daemon goes by, and whether one was set, or the machine slept, since its loop turned last. */
import { uptime } from 'node:os';
import { formatDuration } from '../../lib/time.ts';

/** In milliseconds. */
export interface Now {
  /** Since 1970. */
  readonly wallMs: number;
  /** Since the machine was started, sleep included; nobody sets it. */
  readonly steadyMs: number;
}

/** Node's monotonic clock stops while the machine is suspended; the uptime does not. */
export function now(): Now {
  return { wallMs: Date.now(), steadyMs: uptime() * 1000 };
}

/** A clock that is kept right moves by less. */
const noticedMs = 10_000;

/** In words, for the log; undefined: neither. The loop never sleeps for more than a minute by itself. */
export function clockChange(before: Now, at: Now): string | undefined {
  const wallMs = at.wallMs - before.wallMs;
  const steadyMs = at.steadyMs - before.steadyMs;
  const setMs = wallMs - steadyMs;
  if (Math.abs(setMs) >= noticedMs) {
    return `the clock was set ${setMs > 0 ? 'forward' : 'back'} by ${formatDuration(Math.abs(setMs))}`;
  }
  return steadyMs >= sleptMs ? `this process did not run for ${formatDuration(steadyMs)}` : undefined;
}

const sleptMs = 120_000;
