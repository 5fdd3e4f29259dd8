/** The rules of one component over its backups: by age, by number, by calendar. All times are UTC. */
import type { RetentionPolicy } from '../../config/config.ts';
import type { Dated } from './backups.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** A policy without any rule keeps everything; `minBackups` alone does not count as one. */
export function hasRules(policy: RetentionPolicy): boolean {
  return Object.values({ ...policy, minBackups: undefined }).some((rule) => rule !== undefined);
}

/**
 * The reasons to keep each of `backups` (oldest first), by id. Rules by age look at all; those by number and
 * calendar only at the `counting` ones, so that a damaged or a safety backup takes no other's place. Periods
 * without a backup do not count: seven days are the last seven that have one.
 */
export function keptByRules(
  backups: readonly Dated[],
  counting: ReadonlySet<Dated>,
  policy: RetentionPolicy,
  nowMs: number,
): Map<string, string[]> {
  const kept = new Map<string, string[]>();
  const keep = ({ id }: Dated, reason: string): void => void kept.set(id, [...(kept.get(id) ?? []), reason]);
  const newestFirst = backups.filter((each) => counting.has(each)).toReversed();
  for (const backup of backups) {
    if (policy.days !== undefined && nowMs - backup.takenMs < policy.days * dayMs) {
      keep(backup, `younger than ${days(policy.days)}`);
    }
    if (policy.keepWithinMs !== undefined && nowMs - backup.takenMs < policy.keepWithinMs) {
      keep(backup, `within ${span(policy.keepWithinMs)}`);
    }
  }
  for (const backup of newestFirst.slice(0, policy.keepLast ?? 0)) {
    keep(backup, policy.keepLast === 1 ? 'the last one' : `one of the last ${policy.keepLast}`);
  }
  for (const { rule, name, period } of calendar) {
    const first = new Map<string, Dated>();
    for (const backup of newestFirst) if (!first.has(period(backup.takenMs))) first.set(period(backup.takenMs), backup);
    for (const [label, backup] of [...first].slice(0, policy[rule] ?? 0)) keep(backup, `newest of ${name} ${label}`);
  }
  for (const backup of newestFirst.slice(0, policy.minBackups ?? 0)) {
    if (!kept.has(backup.id)) keep(backup, `one of at least ${policy.minBackups}`);
  }
  return kept;
}

/** What a backup that goes is no longer covered by: "older than 30 days". */
export function rulesInWords(policy: RetentionPolicy): string {
  const words: string[] = [];
  if (policy.days !== undefined) words.push(`older than ${days(policy.days)}`);
  if (policy.keepWithinMs !== undefined) words.push(`not within ${span(policy.keepWithinMs)}`);
  if (policy.keepLast !== undefined) words.push(`not one of the last ${policy.keepLast}`);
  for (const { rule, name } of calendar) {
    if (policy[rule] !== undefined) words.push(`not newest of one of the last ${policy[rule]} ${name}s`);
  }
  return words.join(', ');
}

const calendar = [
  { rule: 'keepHourly', name: 'hour', period: (ms: number) => iso(ms).slice(0, 13) },
  { rule: 'keepDaily', name: 'day', period: (ms: number) => iso(ms).slice(0, 10) },
  { rule: 'keepWeekly', name: 'week', period: isoWeek },
  { rule: 'keepMonthly', name: 'month', period: (ms: number) => iso(ms).slice(0, 7) },
  { rule: 'keepYearly', name: 'year', period: (ms: number) => iso(ms).slice(0, 4) },
] as const;

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** `2026-W01`, from Monday to Sunday as in ISO 8601: a week belongs to the year of its Thursday. */
function isoWeek(ms: number): string {
  const weekday = (new Date(ms).getUTCDay() + 6) % 7;
  const thursday = new Date(ms + (3 - weekday) * dayMs);
  const newYear = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  const week = Math.floor((thursday.getTime() - newYear) / (7 * dayMs)) + 1;
  return `${thursday.getUTCFullYear()}-W${String(week).padStart(2, '0')}`;
}

function days(count: number): string {
  return count === 1 ? '1 day' : `${count} days`;
}

function span(ms: number): string {
  if (ms % dayMs === 0) return days(ms / dayMs);
  return ms % hourMs === 0 ? `${ms / hourMs} h` : `${Math.round(ms / 60_000)} min`;
}
