/** What stands against the backups of one target: their age, runs that failed, want of proof, odd sizes. Pure. */
import { formatDuration } from '../../lib/time.ts';
import { counted, formatBytes } from '../../lib/units.ts';
import type { Limits } from './limits.ts';
import { degraded, unhealthy } from './reason.ts';
import type { StatusReason } from './request.ts';
import type { SurveyedBackup, SurveyedTarget } from './survey-target.ts';

/** The reasons that name `target`. */
export function judgeTarget(target: SurveyedTarget, nowMs: number, limits: Limits): StatusReason[] {
  return [
    ...target.configured.flatMap((component) => ofAge(target, component, nowMs, limits)),
    ...ofRuns(target, nowMs, limits),
    ...ofFailures(target),
    ...target.configured.flatMap((component) => ofDamagedSource(target, component)),
    ...ofProof(target, nowMs, limits),
    ...ofTrend(target),
  ];
}

/** Backups of the same kind that the newest is held against. */
const trendOver = 20;
/** Fewer say nothing. */
const trendFrom = 4;
/** So many show whether sizes are steady. */
const steadyFrom = 10;
/** Less is no matter, whatever its share. */
const muchBytes = 100_000_000;
/** A clock may be so far ahead. */
const aheadMs = 600_000;
/** A backup by hand shortly before the moment counts; so does one that is still at work. */
const earlyMs = 5 * 60_000;

/**
 * By component: one that is backed up each hour says nothing of another. A schedule tells when a backup should have
 * been begun; without one, or once one was missed, the general delay counts.
 */
function ofAge(target: SurveyedTarget, component: string, nowMs: number, limits: Limits): StatusReason[] {
  const { name } = target;
  const next = `lifeboat backup --target ${name}`;
  const newest = target.backups.find((each) => each.components.includes(component) && !each.flaws.has(component));
  if (newest === undefined) {
    const which = target.backups.some(({ components }) => components.includes(component)) ? 'whole backup' : 'backup';
    return [unhealthy(`no-backup:${name}:${component}`, `there is no ${which} of ${name}'s ${component}`, next, name)];
  }
  const ageMs = nowMs - Date.parse(newest.startedAt);
  if (ageMs < -aheadMs) {
    const message = `backup ${newest.id} is dated in the future: a clock is wrong`;
    return [degraded(`future:${newest.id}`, message, 'lifeboat doctor', name)];
  }
  const missed = missedBy(target, component, newest);
  const delayMs = target.due.has(component) && missed === undefined ? Infinity : limits.backupDelayMs;
  const limitMs = Math.min(delayMs, limits.maxAgeMs ?? Infinity);
  const message = `the newest backup of ${name}'s ${component} is ${formatDuration(ageMs)} old`;
  const due = missed === undefined ? '' : dueText(missed);
  if (ageMs > limitMs) {
    const id = `stale:${name}:${component}:${newest.id}`;
    return [unhealthy(id, `${message}, over ${formatDuration(limitMs)}${due}`, next, name)];
  }
  if (missed === undefined) return [];
  return [degraded(`missed:${name}:${component}:${missed.at}`, `${message}${due}`, next, name)];
}

interface MissedTime {
  readonly at: string;
  readonly schedules: readonly string[];
}

function missedBy(
  { due, isBackingUp }: SurveyedTarget,
  component: string,
  newest: SurveyedBackup,
): MissedTime | undefined {
  const times = due.get(component);
  if (times?.dueMs === undefined || isBackingUp) return undefined;
  if (Date.parse(newest.startedAt) >= times.dueMs - earlyMs) return undefined;
  return { at: new Date(times.dueMs).toISOString(), schedules: times.schedules };
}

function dueText({ at, schedules }: MissedTime): string {
  return `, and schedule ${schedules.map((each) => `"${each}"`).join(', ')} was due at ${at}`;
}

function ofRuns({ name, runs }: SurveyedTarget, nowMs: number, { failureRate, days }: Limits): StatusReason[] {
  const recent = runs.filter(({ startedAt }) => nowMs - Date.parse(startedAt) <= days * 86_400_000);
  const included = recent.filter(({ outcome }) => outcome !== 'aborted');
  const failed = included.filter(({ outcome }) => outcome === 'failed');
  const last = included.at(-1);
  const reasons: StatusReason[] = [];
  if (last?.outcome === 'failed') {
    const why = `(exit code ${last.exitCode}): ${last.message ?? 'unknown'}`;
    const message = `the last backup of ${name} failed ${why}`;
    reasons.push(degraded(`last-run:${name}:${last.startedAt}`, message, 'lifeboat doctor', name));
  }
  const share = included.length === 0 ? 0 : failed.length / included.length;
  if (share >= failureRate && failed.length > 0) {
    const shares = `${Math.round(share * 100)} %, limit ${Math.round(failureRate * 100)} %`;
    const of = `${failed.length} of ${counted(included.length, 'backup')} of ${name}`;
    const message = `${of} failed in ${counted(days, 'day')} (${shares})`;
    reasons.push(degraded(`failure-rate:${name}:${failed.at(-1)?.startedAt ?? ''}`, message, 'lifeboat audit', name));
  }
  return reasons;
}

/** Backups that the last check of them found to be no good. */
function ofFailures({ name, backups }: SurveyedTarget): StatusReason[] {
  const failing = backups.filter(({ standing }) => standing?.failing === true);
  return failing.map(({ id, standing }) => {
    const at = standing?.lastFailure?.at ?? '';
    const level = standing?.lastFailure?.level ?? 'check';
    const message = `backup ${id} ${failureText(level)}: a ${level} failed ${at}`;
    return (id === backups[0]?.id ? unhealthy : degraded)(`failed:${id}:${at}`, message, `lifeboat show ${id}`, name);
  });
}

/** The source lost something: what is from before it must not go, and somebody has to look at the disk. */
function ofDamagedSource({ name, backups }: SurveyedTarget, component: string): StatusReason[] {
  const newest = backups.find(({ components }) => components.includes(component));
  const flaw = newest?.flaws.get(component);
  if (newest === undefined || flaw === undefined) return [];
  const message = `the newest backup of ${name}'s ${component}, ${newest.id}, is of a damaged source: ${flaw}`;
  return [unhealthy(`damaged-source:${newest.id}:${component}`, message, `lifeboat show ${newest.id}`, name)];
}

function failureText(level: string): string {
  if (level === 'drill') return 'does not restore';
  return level === 'pitr' ? 'does not recover to a moment' : 'is damaged';
}

function ofProof({ name, backups, proof }: SurveyedTarget, nowMs: number, { provenDelayMs }: Limits): StatusReason[] {
  if (backups.length === 0) return [];
  const next = `lifeboat integrity --drill --target ${name}`;
  if (proof === undefined) {
    return [degraded(`unproven:${name}`, `no backup of ${name} has been proven by a drill`, next, name)];
  }
  const ageMs = nowMs - Date.parse(proof.at);
  if (ageMs <= provenDelayMs) return [];
  const message = `the last drill of ${name} that proved a backup was ${formatDuration(ageMs)} ago`;
  return [degraded(`proof-old:${name}:${proof.id}`, message, next, name)];
}

/** Whether the newest backup is much smaller, much larger or much slower than those of its kind before it. */
function ofTrend({ name, backups, isSizeAcknowledged }: SurveyedTarget): StatusReason[] {
  const [newest, ...older] = backups;
  if (newest === undefined) return [];
  const like = older.filter((each) => isLike(each, newest)).slice(0, trendOver);
  if (like.length < trendFrom) return [];
  const { id, durationMs } = newest;
  const reasons: StatusReason[] = [];
  const suspect = (what: string, message: string): void =>
    void reasons.push(degraded(`${what}:${id}`, message, `lifeboat show ${id}`, name));
  const size = sizeProblem(newest, like, isSizeAcknowledged);
  if (size !== undefined) suspect('size', size);
  const times = trendOf(like.map((each) => each.durationMs));
  if (durationMs > times.usual * 2 && durationMs - times.usual > 120_000 && isFar(durationMs, times)) {
    const took = `backup ${id} took ${formatDuration(durationMs)}`;
    suspect('duration', `${took}; the last ${like.length} took ${formatDuration(times.usual)}`);
  }
  return reasons;
}

function sizeProblem(
  { id, readBytes }: SurveyedBackup,
  like: readonly SurveyedBackup[],
  isSmallMeant: boolean,
): string | undefined {
  const sizes = trendOf(like.map((each) => each.readBytes));
  const { usual } = sizes;
  const size = formatBytes(usual);
  const holds = `backup ${id} holds ${formatBytes(readBytes)}`;
  if (readBytes < usual / 2) return isSmallMeant ? undefined : `${holds}; the last ${like.length} held ${size}`;
  const changeBytes = Math.abs(readBytes - usual);
  if (changeBytes <= muchBytes || !isFar(readBytes, sizes)) return undefined;
  if (readBytes > usual * 2) return `${holds}, more than twice the usual ${size}`;
  // Where sizes hardly differ a smaller change tells.
  const isSteady = like.length >= steadyFrom && changeBytes > usual / 5;
  if (!isSteady || (readBytes < usual && isSmallMeant)) return undefined;
  return `${holds}, unlike the last ${like.length}, which held about ${size}`;
}

interface Trend {
  /** The median. */
  readonly usual: number;
  /** What a standard deviation would be, by the median of deviations, which single odd values do not move. */
  readonly spread: number;
}

function trendOf(values: readonly number[]): Trend {
  const usual = median(values);
  return { usual, spread: 1.4826 * median(values.map((each) => Math.abs(each - usual))) };
}

function isFar(value: number, { usual, spread }: Trend): boolean {
  return Math.abs(value - usual) > 6 * spread;
}

function isLike(a: SurveyedBackup, b: SurveyedBackup): boolean {
  return a.type === b.type && a.components.join() === b.components.join();
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
