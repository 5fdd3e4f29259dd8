/**
 * Cron expressions as crontab(5) has them, in the time zone of this host: when should it have run last, when
 * will it next. Five fields (minute, hour, day, month, weekday), or six with seconds first, which are not
 * looked at closer than the minute. Where clocks change: a time that does not exist counts as that much later,
 * one that comes twice counts once, but twice where the hour is `*`.
 */
import { LifeboatError } from './errors.ts';

/** A parsed expression. Undefined: at every start of the machine (@reboot), which no clock tells. */
export interface Cron {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly everyHour: boolean;
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
  // Days are those of the month and those of the week, if both are named; else those of the one that is.
  const isEither = !isAny(day) && !isAny(weekday);
  return {
    minutes: parseField(minute, 'minute', 0, 59),
    hours: parseField(hour, 'hour', 0, 23),
    everyHour: isAny(hour),
    matchesDay: (date) => {
      if (!months.has(date.getMonth() + 1)) return false;
      const [ofMonth, ofWeek] = [days.has(date.getDate()), weekdays.has(date.getDay())];
      return isEither ? ofMonth || ofWeek : ofMonth && ofWeek;
    },
  };
}

/**
 * The last moment at or before `atMs`; milliseconds since 1970. Undefined if there is none (30 February) within eight
 * years.
 */
export function lastMoment(cron: Cron, atMs: number): number | undefined {
  return search(cron, atMs, -1);
}

/** The first moment after `atMs`. */
export function nextMoment(cron: Cron, atMs: number): number | undefined {
  return search(cron, atMs, 1);
}

/** 29 February comes every eight years at worst. */
const searchedDays = 8 * 366;

function search(cron: Cron, atMs: number, direction: 1 | -1): number | undefined {
  const at = new Date(atMs);
  // A time that does not exist may move over midnight, so a look at the neighbour first.
  for (let days = -1; days <= searchedDays; days++) {
    // Noon exists on every day.
    const date = new Date(at.getFullYear(), at.getMonth(), at.getDate() + direction * days, 12);
    if (!cron.matchesDay(date)) continue;
    const moments = momentsOf(cron, date).filter((ms) => (direction < 0 ? ms <= atMs : ms > atMs));
    if (moments.length > 0) return direction < 0 ? Math.max(...moments) : Math.min(...moments);
  }
  return undefined;
}

function momentsOf({ hours, minutes, everyHour }: Cron, date: Date): number[] {
  const [year, month, day] = [date.getFullYear(), date.getMonth(), date.getDate()];
  return hours.flatMap((hour) =>
    minutes.flatMap((minute) => {
      const first = new Date(year, month, day, hour, minute);
      if (!everyHour) return [first.getTime()];
      // The hour that comes twice; clocks are set back by 30 or 60 minutes.
      const again = [30, 60]
        .map((shift) => new Date(first.getTime() + shift * 60_000))
        .filter((each) => each.getHours() === hour && each.getMinutes() === minute);
      return [first, ...again].map((each) => each.getTime());
    }),
  );
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
