/**
 * Cron expressions as crontab(5) has them, in a time zone: when should it have run last, when will it next. Five fields
 * (minute, hour, day, month, weekday), or six with seconds first, which are not looked at closer than the minute. Where
 * clocks change: a time that does not exist counts as that much later, one that comes twice counts once, but twice
 * where the hour is `*`.
 *
 * Our own, since no package keeps that: croner 11 leaves `30 2,14 * * *` out at 02:30 of the day on which that hour is
 * skipped, and runs it twice where the hour comes twice. The tests pin both.
 */
import { LifeboatError } from './errors.ts';
import { civilDay, civilTime, momentsOfCivil } from './time-zone.ts';

/** A parsed expression. Undefined: at every start of the machine (@reboot), which no clock tells. */
export interface Cron {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly everyHour: boolean;
  /** Days as other readers of crontabs take them: numbers, 0 for Sunday; with a star as they were written. */
  readonly dayFields: { readonly day: string; readonly month: string; readonly weekday: string };
  /** A day by its date in UTC. */
  matchesDay(date: Date): boolean;
}

const names: Readonly<Record<string, string | undefined>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};
const monthNames = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const dayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** Throws LifeboatError `usage` that says which part is wrong. */
export function parseCron(expression: string): Cron | undefined {
  const text = expression.trim().toLowerCase();
  if (text === '@reboot') return undefined;
  const fields = (text.startsWith('@') ? (names[text] ?? text) : text).split(/\s+/);
  if (fields.length !== 5 && fields.length !== 6) {
    throw new LifeboatError(
      'usage',
      `"${expression}" is not a cron expression: it must have five or six fields, or be one of ` +
        Object.keys(names).join(', '),
    );
  }
  if (fields.length === 6) parseField(fields[0] ?? '', 'second', 0, 59);
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = fields.slice(-5);
  const days = new Set(parseField(day, 'day', 1, 31));
  const months = new Set(parseField(month, 'month', 1, 12, monthNames));
  const weekdays = new Set(parseField(weekday, 'weekday', 0, 7, dayNames).map((number) => number % 7));
  const plain = (field: string, numbers: ReadonlySet<number>): string =>
    isAny(field) ? field.replaceAll('?', '*') : [...numbers].toSorted((a, b) => a - b).join(',');
  // Days are those of the month and those of the week, if both are named; else those of the one that is.
  const isEither = !isAny(day) && !isAny(weekday);
  return {
    minutes: parseField(minute, 'minute', 0, 59),
    hours: parseField(hour, 'hour', 0, 23),
    everyHour: isAny(hour),
    dayFields: { day: plain(day, days), month: plain(month, months), weekday: plain(weekday, weekdays) },
    matchesDay: (date) => {
      if (!months.has(date.getUTCMonth() + 1)) return false;
      const [ofMonth, ofWeek] = [days.has(date.getUTCDate()), weekdays.has(date.getUTCDay())];
      return isEither ? ofMonth || ofWeek : ofMonth && ofWeek;
    },
  };
}

/**
 * The last moment at or before `atMs`; milliseconds since 1970. Undefined if there is none (30 February) within eight
 * years. `zone`: an IANA name (checkTimeZone); undefined: this host's.
 */
export function lastMoment(cron: Cron, atMs: number, zone?: string): number | undefined {
  return search(cron, atMs, -1, zone);
}

/** The first moment after `atMs`. */
export function nextMoment(cron: Cron, atMs: number, zone?: string): number | undefined {
  return search(cron, atMs, 1, zone);
}

/** 29 February comes every eight years at worst. */
const searchedDays = 8 * 366;
const dayMs = 86_400_000;

function search(cron: Cron, atMs: number, direction: 1 | -1, zone: string | undefined): number | undefined {
  const today = Math.floor(civilTime(zone, atMs) / dayMs) * dayMs;
  // A time that does not exist may move over midnight, and clocks may be set back over it: so a look at the
  // neighbours before the nearest is known.
  let found: number | undefined;
  for (let days = -1; days <= searchedDays; days++) {
    const isFound = found !== undefined;
    const day = today + direction * days * dayMs;
    if (cron.matchesDay(new Date(day))) {
      for (const ms of momentsOf(cron, day, zone)) {
        if (direction < 0 ? ms <= atMs && ms > (found ?? -Infinity) : ms > atMs && ms < (found ?? Infinity)) found = ms;
      }
    }
    if (isFound) break;
  }
  return found;
}

/** Of one day, by its civil midnight. */
function momentsOf({ hours, minutes, everyHour }: Cron, midnightMs: number, zone: string | undefined): number[] {
  const day = civilDay(zone, midnightMs);
  const moments: number[] = [];
  for (const hour of hours) {
    for (const minute of minutes) {
      const [first, again] = momentsOfCivil(day, midnightMs + (hour * 60 + minute) * 60_000);
      moments.push(first);
      if (everyHour && again !== undefined) moments.push(again);
    }
  }
  return moments;
}

function isAny(field: string): boolean {
  return field.startsWith('*') || field === '?';
}

/** `*`, `5`, `1-5`, `1,2`, each with a step (`*` `/15`), and names. */
function parseField(field: string, what: string, low: number, high: number, words: readonly string[] = []): number[] {
  const refuse = (): never => {
    throw new LifeboatError(
      'usage',
      `"${field}" is no ${what} of a cron expression: ${low} to ${high}, *, lists, ranges and steps are`,
    );
  };
  const numberOf = (text: string): number => {
    const word = words.indexOf(text);
    const number = word === -1 ? Number(text) : word + (low === 0 ? 0 : 1);
    return /^\d+$/.test(text) || word !== -1 ? number : refuse();
  };
  const found = new Set<number>();
  for (const part of field.split(',')) {
    const [, range = refuse(), step] = /^([^/]+)(?:\/(\d+))?$/.exec(part) ?? [];
    const by = step === undefined ? 1 : Number(step);
    const [first = '', last] = range === '*' || range === '?' ? [String(low), String(high)] : range.split('-');
    const from = numberOf(first);
    // 5/15: from 5 on.
    const to = last === undefined ? (step === undefined ? from : high) : numberOf(last);
    if (by < 1 || from < low || to > high || from > to || range.split('-').length > 2) refuse();
    for (let number = from; number <= to; number += by) found.add(number);
  }
  return [...found].toSorted((a, b) => a - b);
}
