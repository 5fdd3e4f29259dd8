/**
 * Local times of IANA time zones, by the time zone data of Node itself (Intl). A civil time is the number of
 * milliseconds since 1970 that a clock on the wall would stand for if it showed UTC: what UTC methods of Date take
 * apart.
 */
import { LifeboatError } from './errors.ts';
import { didYouMean } from './suggest.ts';

/** The zone of this host, by its name. */
export function hostTimeZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Throws LifeboatError `usage` with the nearest right name unless it is one of a time zone; +01:00 is none. */
export function checkTimeZone(name: string): void {
  try {
    if (/^[A-Za-z]/.test(name)) return void formatterOf(name);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  const known = ['UTC', ...Intl.supportedValuesOf('timeZone')];
  throw new LifeboatError('usage', `"${name}" is no time zone${didYouMean(name, known)}`, {
    hint: 'name one as in Europe/Berlin, or UTC',
  });
}

/** What the clocks of a zone show at a moment; undefined: those of this host. */
export function civilTime(zone: string | undefined, atMs: number): number {
  return atMs + offsetMs(zone, atMs);
}

/** How a civil day, by its midnight, lies in time. */
export interface CivilDay {
  /** Offset of the zone from UTC before and after the clocks are changed; the same on most days. */
  readonly before: number;
  readonly after: number;
  /** When they are changed. */
  readonly changeMs: number;
}

const dayMs = 86_400_000;
const days = new Map<string, CivilDay>();
const keptDays = 1000;

/** What is asked for again and again is worked out once; but this host's zone may change under a process (TZ). */
export function civilDay(zone: string | undefined, midnightMs: number): CivilDay {
  if (zone === undefined) return workOutDay(zone, midnightMs);
  const name = `${zone} ${midnightMs}`;
  const known = days.get(name) ?? workOutDay(zone, midnightMs);
  if (days.size >= keptDays) days.clear();
  days.set(name, known);
  return known;
}

/** No offset is larger than a day, and no zone changes its clocks twice within three. */
function workOutDay(zone: string | undefined, midnightMs: number): CivilDay {
  let [low, high] = [midnightMs - dayMs, midnightMs + 2 * dayMs];
  const [before, after] = [offsetMs(zone, low), offsetMs(zone, high)];
  if (before === after) return { before, after, changeMs: high };
  while (high - low > 1000) {
    const middle = Math.floor((low + high) / 2000) * 1000;
    if (offsetMs(zone, middle) === before) low = middle;
    else high = middle;
  }
  return { before, after, changeMs: high };
}

/**
 * The moments of a civil time on a day: one; both, the earlier first, where clocks are set back over it; and where they
 * are set forward over it, the one that comes that much later.
 */
export function momentsOfCivil({ before, after, changeMs }: CivilDay, civilMs: number): readonly [number, number?] {
  const [early, late] = [civilMs - before, civilMs - after];
  if (before === after) return [early];
  if (late < changeMs) return [early];
  return early < changeMs ? [early, late] : [late];
}

function offsetMs(zone: string | undefined, atMs: number): number {
  // The quicker one.
  if (zone === undefined) return -Math.round(new Date(atMs).getTimezoneOffset() * 60_000);
  const text = formatterOf(zone).format(atMs);
  const [, sign, hours, minutes, seconds = '0'] = /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(text) ?? [];
  if (sign === undefined) return 0;
  return (sign === '-' ? -1000 : 1000) * (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds));
}

const formatters = new Map<string, Intl.DateTimeFormat>();

/** Making one takes as long as using it a thousand times. Throws RangeError for what is no zone. */
function formatterOf(zone: string): Intl.DateTimeFormat {
  const known =
    formatters.get(zone) ?? new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
  formatters.set(zone, known);
  return known;
}
