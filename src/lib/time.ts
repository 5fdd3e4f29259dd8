/** Times as operators and the repository write them. All of it UTC. */
import { LifeboatError } from './errors.ts';

/** `20260102T030405Z`, as in backup ids and evidence names. */
export function compactUtc(date: Date): string {
  return date.toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
}

/** The other way: `2026-01-02T03:04:05Z`. What stands behind it is left out; another text stays as it is. */
export function expandUtc(compact: string): string {
  return compact.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d).*$/, '$1-$2-$3T$4:$5:$6Z');
}

/**
 * Milliseconds since 1970 of a date (`2026-01-02`), a time (`03:04`, with seconds and a fraction if need be) and a zone
 * (`Z`, `+01:00`); undefined where they name no moment. The days of a month are counted here, since V8's Date.parse
 * takes 31 November for 1 December.
 */
export function momentOf(date: string, time: string, zone: string): number | undefined {
  const dayMs = Date.parse(`${date}T00:00:00Z`);
  if (Number.isNaN(dayMs) || new Date(dayMs).toISOString().slice(0, 10) !== date) return undefined;
  const ms = Date.parse(`${date}T${time}${zone}`);
  return Number.isNaN(ms) ? undefined : ms;
}

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/** `90s`, `5m`, `12h`, `30d`, `2w` in milliseconds. Anything else is a usage error. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(s|m|h|d|w)$/.exec(text.trim());
  if (match === null) {
    throw new LifeboatError('usage', `"${text}" is not a duration`, {
      hint: 'write a number and s, m, h, d or w, such as 90s, 5m or 30d',
    });
  }
  return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
}

/** "3 h 04 min", "12.3 s", "45 ms": for people. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}
