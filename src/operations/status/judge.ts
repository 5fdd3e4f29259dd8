/** From what was found to a verdict: reasons, each with a stable name, a weight and the next command. Pure. */
import type { MonitoringConfig } from '../../config/config.ts';
import { formatDuration } from '../../lib/time.ts';
import { formatBytes } from '../../lib/units.ts';
import { hiddenWarning } from '../../repository/deletion/hidden-manifests.ts';
import type { StatusReason } from './request.ts';
import type { Survey, SurveyedBackup, SurveyedTarget } from './survey.ts';
import { judgeWal } from './judge-wal.ts';
import { count } from '../component.ts';
import { manifestKey } from '../../repository/object-keys.ts';

export interface Limits extends MonitoringConfig {
  /** --max-age: over every target. */
  readonly maxAgeMs: number | undefined;
  /** How far back runs count. */
  readonly days: number;
}

/** Everything that is not as it should be, unhealthy first; acknowledged or not. */
export function judge(survey: Survey, limits: Limits): StatusReason[] {
  const reasons = [
    ...ofRepository(survey),
    ...ofStorage(survey, limits),
    ...survey.wal.flatMap((wal) => judgeWal(wal, survey.nowMs, limits.backupDelayMs)),
    ...survey.targets.flatMap((target) => ofTarget(target, survey.nowMs, limits)),
  ];
  return reasons.toSorted((a, b) => Number(b.weight === 'unhealthy') - Number(a.weight === 'unhealthy'));
}

/** Backups of the same kind that the newest is held against. */
export const trendOver = 10;
/** Fewer say nothing. */
const trendFrom = 4;

function ofRepository({ damaged, untrusted, unchecked, hidden, past, keys, running, targets }: Survey): StatusReason[] {
  const reasons: StatusReason[] = [];
  for (const { id, object, reason } of damaged) {
    reasons.push({
      id: `damaged:${id}`,
      weight: 'unhealthy',
      message: `${object} cannot be used: ${reason}`,
      next: `lifeboat validate ${id}`,
    });
  }
  for (const each of hidden) {
    reasons.push({
      id: `hidden:${each.id}`,
      weight: 'unhealthy',
      message: hiddenWarning(each).message,
      next: `lifeboat undelete ${each.id}`,
    });
  }
  // That they are missed is no news.
  const gone = new Set(hidden.map(({ id }) => manifestKey(id)));
  for (const { kind, object, problem } of past.filter((each) => !gone.has(each.object))) {
    reasons.push({
      id: `${kind}:${object}`,
      weight: 'unhealthy',
      message: `${object}: ${problem}`,
      next: 'lifeboat integrity',
    });
  }
  if (targets.length === 0) {
    reasons.push({
      id: 'no-target',
      weight: 'unhealthy',
      message: 'nothing to back up is configured',
      next: 'lifeboat init',
    });
  }
  if (unchecked.length > 0) {
    reasons.push({
      id: 'unchecked',
      weight: 'degraded',
      message: `${count(unchecked.length, 'backup')} cannot be checked with the key that is configured`,
      next: 'lifeboat keys list',
    });
  }
  if (untrusted.length > 0) {
    reasons.push({
      id: `untrusted:${untrusted[0]}`,
      weight: 'degraded',
      message: `${count(untrusted.length, 'backup')} signed by nobody who is trusted: ${untrusted.slice(0, 3).join(', ')}`,
      next: `lifeboat show ${untrusted[0]}`,
    });
  }
  for (const { id, problem } of keys) {
    reasons.push({
      id: `key:${id}`,
      weight: 'degraded',
      message: `data key ${id} ${problem}`,
      next: 'lifeboat keys list',
    });
  }
  const dead = running.filter(({ isAlive }) => !isAlive);
  for (const { scope, command, since } of dead) {
    reasons.push({
      id: `stale-lease:${scope}:${since}`,
      weight: 'degraded',
      message: `a dead run of ${command} still holds ${scope}, since ${since}`,
      next: 'lifeboat unlock',
    });
  }
  return reasons;
}

function ofStorage(
  { storage: { storedBytes, freeBytes, capacityBytes } }: Survey,
  { storageShare, storageBudgetBytes }: Limits,
): StatusReason[] {
  const reasons: StatusReason[] = [];
  const judgeShare = (id: string, used: number, of: number, what: string): void => {
    const share = of === 0 ? 1 : used / of;
    if (share < storageShare) return;
    const percent = Math.floor(share * 100);
    // In steps of five: what was acknowledged at 85 % is not at 90 %.
    const next = 'lifeboat cleanup --dry-run';
    reasons.push({
      id: `${id}:${Math.floor(percent / 5) * 5}`,
      weight: share >= 0.97 ? 'unhealthy' : 'degraded',
      message:
        `${what} is ${percent} % full (limit ${Math.round(storageShare * 100)} %, ` +
        `${formatBytes(Math.max(0, of - used))} left)`,
      next,
    });
  };
  if (freeBytes !== undefined && capacityBytes !== undefined) {
    judgeShare('storage', capacityBytes - freeBytes, capacityBytes, "the repository's file system");
  }
  if (storageBudgetBytes !== undefined) judgeShare('budget', storedBytes, storageBudgetBytes, 'the budget');
  return reasons;
}

function ofTarget(target: SurveyedTarget, nowMs: number, limits: Limits): StatusReason[] {
  return [
    ...ofAge(target, nowMs, limits),
    ...ofRuns(target, nowMs, limits),
    ...ofProof(target, nowMs, limits),
    ...ofTrend(target),
  ];
}

/**
 * By component: one that is backed up each hour says nothing of another. A schedule tells when a backup should have
 * been begun; without one, or once one was missed, the general delay counts.
 */
function ofAge(target: SurveyedTarget, nowMs: number, limits: Limits): StatusReason[] {
  const { name, configured, backups } = target;
  const next = `lifeboat backup --target ${name}`;
  return configured.flatMap((component): StatusReason[] => {
    const newest = backups.find(({ components }) => components.includes(component));
    if (newest === undefined) {
      return [
        {
          id: `no-backup:${name}:${component}`,
          weight: 'unhealthy',
          target: name,
          message: `there is no backup of ${name}'s ${component}`,
          next,
        },
      ];
    }
    const ageMs = nowMs - Date.parse(newest.startedAt);
    if (ageMs < -600_000) {
      return [
        {
          id: `future:${newest.id}`,
          weight: 'degraded',
          target: name,
          message: `backup ${newest.id} is dated in the future: a clock is wrong`,
          next: 'lifeboat doctor',
        },
      ];
    }
    const missed = missedBy(target, component, newest);
    const delayMs = target.due.has(component) && missed === undefined ? Infinity : limits.backupDelayMs;
    const limit = Math.min(delayMs, limits.maxAgeMs ?? Infinity);
    const due =
      missed === undefined
        ? ''
        : `, and schedule ${missed.schedules.map((each) => `"${each}"`).join(', ')} was due at ${missed.at}`;
    if (ageMs > limit) {
      return [
        {
          id: `stale:${name}:${component}:${newest.id}`,
          weight: 'unhealthy',
          target: name,
          message:
            `the newest backup of ${name}'s ${component} is ${formatDuration(ageMs)} old, over ` +
            `${formatDuration(limit)}${due}`,
          next,
        },
      ];
    }
    if (missed === undefined) return [];
    return [
      {
        id: `missed:${name}:${component}:${missed.at}`,
        weight: 'degraded',
        target: name,
        message: `the newest backup of ${name}'s ${component} is ${formatDuration(ageMs)} old${due}`,
        next,
      },
    ];
  });
}

/** A backup by hand shortly before the moment counts; so does one that is still at work. */
const earlyMs = 5 * 60_000;

function missedBy(
  { due, isBackingUp }: SurveyedTarget,
  component: string,
  newest: SurveyedBackup,
): { readonly at: string; readonly schedules: readonly string[] } | undefined {
  const times = due.get(component);
  if (times?.dueMs === undefined || isBackingUp || Date.parse(newest.startedAt) >= times.dueMs - earlyMs) {
    return undefined;
  }
  return { at: new Date(times.dueMs).toISOString(), schedules: times.schedules };
}

function ofRuns({ name, runs }: SurveyedTarget, nowMs: number, { failureRate, days }: Limits): StatusReason[] {
  const counted = runs.filter(
    ({ outcome, startedAt }) => outcome !== 'aborted' && nowMs - Date.parse(startedAt) <= days * 86_400_000,
  );
  const failed = counted.filter(({ outcome }) => outcome === 'failed');
  const last = counted.at(-1);
  const reasons: StatusReason[] = [];
  if (last?.outcome === 'failed') {
    reasons.push({
      id: `last-run:${name}:${last.startedAt}`,
      weight: 'degraded',
      target: name,
      message: `the last backup of ${name} failed (exit code ${last.exitCode}): ${last.message ?? 'unknown'}`,
      next: 'lifeboat doctor',
    });
  }
  const share = counted.length === 0 ? 0 : failed.length / counted.length;
  if (share >= failureRate && failed.length > 0) {
    const message =
      `${failed.length} of ${count(counted.length, 'backup')} of ${name} failed in ${count(days, 'day')} ` +
      `(${Math.round(share * 100)} %, limit ${Math.round(failureRate * 100)} %)`;
    reasons.push({
      id: `failure-rate:${name}:${failed.at(-1)?.startedAt ?? ''}`,
      weight: 'degraded',
      target: name,
      message,
      next: 'lifeboat audit',
    });
  }
  return reasons;
}

function ofProof({ name, backups, proof }: SurveyedTarget, nowMs: number, { provenDelayMs }: Limits): StatusReason[] {
  const reasons: StatusReason[] = [];
  const [newest] = backups;
  if (newest === undefined) return reasons;
  for (const { id, standing } of backups) {
    if (standing?.failing !== true) continue;
    const level = standing.lastFailure?.level;
    const how =
      level === 'drill' ? 'does not restore' : level === 'pitr' ? 'does not recover to a moment' : 'is damaged';
    reasons.push({
      id: `failed:${id}:${standing.lastFailure?.at ?? ''}`,
      weight: id === newest.id ? 'unhealthy' : 'degraded',
      target: name,
      message: `backup ${id} ${how}: a ${standing.lastFailure?.level ?? 'check'} failed ${standing.lastFailure?.at ?? ''}`,
      next: `lifeboat show ${id}`,
    });
  }
  const next = `lifeboat integrity --drill --target ${name}`;
  if (proof === undefined) {
    reasons.push({
      id: `unproven:${name}`,
      weight: 'degraded',
      target: name,
      message: `no backup of ${name} has been proven by a drill`,
      next,
    });
  } else if (nowMs - Date.parse(proof.at) > provenDelayMs) {
    reasons.push({
      id: `proof-old:${name}:${proof.id}`,
      weight: 'degraded',
      target: name,
      message: `the last drill of ${name} that proved a backup was ${formatDuration(nowMs - Date.parse(proof.at))} ago`,
      next,
    });
  }
  return reasons;
}

function ofTrend({ name, backups, isSizeAcknowledged }: SurveyedTarget): StatusReason[] {
  const [newest, ...older] = backups;
  if (newest === undefined) return [];
  const like = older
    .filter(({ type, components }) => type === newest.type && components.join() === newest.components.join())
    .slice(0, trendOver);
  if (like.length < trendFrom) return [];
  const usual = (of: (backup: SurveyedBackup) => number): number => median(like.map(of));
  const size = usual(({ readBytes }) => readBytes);
  const duration = usual(({ durationMs }) => durationMs);
  const reasons: StatusReason[] = [];
  const next = `lifeboat show ${newest.id}`;
  if (newest.readBytes < size / 2 && !isSizeAcknowledged) {
    reasons.push({
      id: `size:${newest.id}`,
      weight: 'degraded',
      target: name,
      message:
        `backup ${newest.id} holds ${formatBytes(newest.readBytes)}; the last ${like.length} held ` + formatBytes(size),
      next,
    });
  }
  if (newest.readBytes > size * 2 && newest.readBytes - size > 100_000_000) {
    reasons.push({
      id: `size:${newest.id}`,
      weight: 'degraded',
      target: name,
      message: `backup ${newest.id} holds ${formatBytes(newest.readBytes)}, more than twice the usual ${formatBytes(size)}`,
      next,
    });
  }
  if (newest.durationMs > duration * 2 && newest.durationMs - duration > 120_000) {
    reasons.push({
      id: `duration:${newest.id}`,
      weight: 'degraded',
      target: name,
      message:
        `backup ${newest.id} took ${formatDuration(newest.durationMs)}; the last ${like.length} took ` +
        formatDuration(duration),
      next,
    });
  }
  return reasons;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
