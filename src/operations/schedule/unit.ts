/** A schedule as something else is to call it. */
import type { Schedule } from '../../config/config.ts';
import type { Cron } from '../../lib/cron.ts';

/** Who is to call: the system, as root, or the service manager and the crontab of a user. */
export type UnitScope = 'system' | 'user';

/** One schedule, ready to be written down. */
export interface Unit {
  readonly schedule: Schedule;
  readonly cron: Cron;
  /** Program and arguments; paths are absolute. */
  readonly argv: readonly string[];
}

/** The minutes of each hour at which one of its moments may be, in whatever zone: those it names, by quarters. */
export function quarterMinutes({ minutes }: Cron): number[] {
  const quarters = minutes.flatMap((minute) => [0, 15, 30, 45].map((more) => (minute + more) % 60));
  return [...new Set(quarters)].toSorted((a, b) => a - b);
}
