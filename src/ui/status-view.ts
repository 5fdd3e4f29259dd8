/**
 * What `lifeboat status` and `acknowledge` print: the verdict first, then why, then what there is.
 */
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import { counted, formatBytes } from '../lib/units.ts';
import type {
  AcknowledgeResult,
  RestoreEstimate,
  StatusReason,
  StatusResult,
  StatusSchedule,
  StatusTarget,
  StatusWal,
} from '../operations/status/request.ts';
import { reachedText } from './list-view.ts';
import { shownTime } from './sizes.ts';
import type { Paint } from './terminal.ts';
import type { View } from './view.ts';

export const statusView: View<StatusResult> = {
  schema: 'lifeboat.status/v1',
  kind: 'query',
  text: (result, paint) =>
    [
      verdictText(result, paint),
      ...result.reasons.flatMap(reasonText),
      ...result.targets.flatMap(targetText),
      ...result.schedules.map(scheduleText),
      ...result.wal.flatMap(walText),
      ...placeText(result),
    ].join('\n'),
};

export const acknowledgeView: View<AcknowledgeResult> = {
  schema: 'lifeboat.acknowledge/v1',
  kind: 'action',
  text: ({ message }) => `acknowledged: ${printable(message)}`,
};

/** So many moments are printed of each target; --json has all. */
const shownMoments = 5;

function verdictText({ verdict, next }: StatusResult, paint: Paint): string {
  const colour = { healthy: paint.green, degraded: paint.yellow, unhealthy: paint.red }[verdict];
  return `${colour(verdict)}${next === undefined ? '' : `; next: ${next}`}`;
}

function reasonText({ id, weight, message, next, acknowledged }: StatusReason): string[] {
  if (acknowledged !== undefined) {
    const why = acknowledged.reason === '' ? '' : ` (${printable(acknowledged.reason)})`;
    return [`  acknowledged: ${printable(message)}${why}`];
  }
  return [`  ${weight}: ${printable(message)}`, `    next: ${next}   [${printable(id)}]`];
}

function targetText(target: StatusTarget): string[] {
  const lines = [`target ${target.name}`];
  if (target.newest === undefined) return [...lines, '  no backup'];
  return [
    ...lines,
    newestLine(target.newest),
    ...otherLines(target, target.newest.id),
    ...scheduleLines(target),
    ...proofLines(target),
    momentsLine(target),
    analyticsLine(target),
  ];
}

function newestLine({ id, takenAt, ageMs, state, standing }: NonNullable<StatusTarget['newest']>): string {
  const reached = standing === undefined ? (state ?? 'unknown') : reachedText(standing);
  return `  newest    ${id}, ${shownTime(takenAt)}, ${formatDuration(ageMs)} old, ${reached}`;
}

/** Components that the newest backup does not hold. */
function otherLines({ components }: StatusTarget, newestId: string): string[] {
  const others = components.filter((each) => each.newestId !== newestId);
  return others.map(({ name, newestId: id, ageMs = 0 }) => {
    const text = id === undefined ? 'no backup' : `${id}, ${formatDuration(ageMs)} old`;
    return `  ${name.padEnd(9)} ${text}`;
  });
}

function scheduleLines({ components }: StatusTarget): string[] {
  return components.flatMap(({ name, schedules, dueAt, nextAt }) => {
    if (schedules === undefined) return [];
    const due = dueAt === undefined ? '' : `, was due ${shownTime(dueAt)}`;
    const next = nextAt === undefined ? '' : `, next ${shownTime(nextAt)}`;
    return [`  scheduled ${name}: ${schedules.join(', ')}${due}${next}`];
  });
}

/** One that is in force in the repository. */
function scheduleText({ id, target, host, lastRun, next, isRunning }: StatusSchedule): string {
  const of = target === undefined ? '' : ` of ${target}`;
  const last = isRunning ? 'runs now' : lastRun === undefined ? 'has not run' : `ran for ${shownTime(lastRun)}`;
  return `schedule ${id}${of} (${host}): ${last}${next === undefined ? '' : `, next ${shownTime(next)}`}`;
}

function proofLines({ newestProven, provenMoment, restoreTime }: StatusTarget): string[] {
  const proven = newestProven === undefined ? 'never' : `${newestProven.id}, ${shownTime(newestProven.provenAt)}`;
  const lines = [`  proven    ${proven}`];
  if (provenMoment !== undefined) {
    const { moment, provenAt, restoreMs } = provenMoment;
    const drill = `by the drill of ${shownTime(provenAt)}, in ${formatDuration(restoreMs)}`;
    lines.push(`  recovered to ${moment} ${drill}`);
  }
  if (restoreTime !== undefined) {
    const { ms, basis, measuredAt = '', assumption = 'assumed', isolation } = restoreTime;
    const how = isolation === 'none' ? ', without isolation' : '';
    const why = basis === 'measured' ? `measured by the drill of ${shownTime(measuredAt)}${how}` : assumption;
    lines.push(`  restore   about ${formatDuration(ms)} (${why})${longest(restoreTime)}`);
  }
  return lines;
}

function momentsLine({ moments }: StatusTarget): string {
  const shown = moments
    .slice(0, shownMoments)
    .map(({ at, isDamaged }) => `${shownTime(at)}${isDamaged === true ? ' (damaged)' : ''}`);
  const more = moments.length > shownMoments ? `, and ${moments.length - shownMoments} more` : '';
  return `  moments   ${shown.join(', ')}${more}`;
}

function analyticsLine({ analytics }: StatusTarget): string {
  const { days, successes, failures, averageReadBytes, averageDurationMs = 0, storedBytes, ratio } = analytics;
  const runs = `${counted(successes, 'backup')}, ${counted(failures, 'failure')}`;
  const averages =
    averageReadBytes === undefined
      ? ''
      : `, on average ${formatBytes(averageReadBytes)} in ${formatDuration(averageDurationMs)}`;
  const share = ratio === undefined ? '' : ` (${ratio} bytes protected for each)`;
  return `  ${counted(days, 'day').padEnd(9)} ${runs}${averages}; ${formatBytes(storedBytes)} stored in all${share}`;
}

/** So many windows are printed of each cluster, the newest; --json has all. */
const shownWindows = 3;

function walText(wal: StatusWal): string[] {
  const { systemId, targets, isCurrent, gaps, missingHistories, damaged } = wal;
  const of = targets.length === 0 ? '' : ` (${targets.join(', ')})`;
  const lines = [`log of cluster ${systemId}${of}${isCurrent ? '' : ', which another one has replaced'}`];
  lines.push(windowsLine(wal), ...archivedLines(wal));
  if (gaps.length > 0) {
    const segments = gaps.reduce((sum, each) => sum + each.segments, 0);
    lines.push(`  gaps      ${counted(gaps.length, 'gap')}, ${counted(segments, 'segment')}: lifeboat wal status`);
  }
  if (damaged.length > 0) lines.push(`  damaged   ${counted(damaged.length, 'object')}: lifeboat wal status`);
  if (missingHistories.length > 0) lines.push(`  missing   ${missingHistories.join(', ')}`);
  return lines;
}

function windowsLine({ windows }: StatusWal): string {
  if (windows.length === 0) return '  any moment none: no base backup with all of its log';
  const shown = windows.slice(-shownWindows).map(({ from, to }) => `${shownTime(from)} to ${shownTime(to)}`);
  const earlier = windows.length > shownWindows ? `, and ${windows.length - shownWindows} earlier spans` : '';
  return `  any moment ${shown.join(', and ')}${earlier}`;
}

function archivedLines({ archived, server }: StatusWal): string[] {
  if (archived === undefined) return [];
  const ahead =
    server === undefined
      ? 'the server was not asked how far it is ahead'
      : `the server is ${formatBytes(server.behindBytes)} ahead`;
  return [`  archived  up to ${archived.lsn}, ${shownTime(archived.at)}; ${ahead}`];
}

function placeText({ repository, storage, running }: StatusResult): string[] {
  const alive = running.filter(({ isAlive }) => isAlive);
  return [
    `repository ${repository}${spaceText(storage)}`,
    ...alive.map(({ command, scope, user, host, since }) => {
      const who = `${user}@${host} since ${shownTime(since)}`;
      return `running ${command} (${scope}) by ${who}`;
    }),
  ];
}

function spaceText({ freeBytes, capacityBytes, ...storage }: StatusResult['storage']): string {
  const { budgetBytes, storedBytes, packBytes = 0, deadBytes } = storage;
  const parts: string[] = [];
  if (freeBytes !== undefined && capacityBytes !== undefined) {
    parts.push(`${formatBytes(freeBytes)} of ${formatBytes(capacityBytes)} free`);
  }
  if (budgetBytes !== undefined) parts.push(`${formatBytes(storedBytes)} of a budget of ${formatBytes(budgetBytes)}`);
  if (packBytes > 0 && deadBytes !== undefined) {
    const dead = Math.round((deadBytes / packBytes) * 100);
    parts.push(`packs ${formatBytes(packBytes)}, of that at most ${dead} % dead`);
  }
  return parts.map((part) => `, ${part}`).join('');
}

/** Where most of the time goes. */
function longest({ steps = [] }: RestoreEstimate): string {
  const most = steps.toSorted((a, b) => b.durationMs - a.durationMs).slice(0, 3);
  if (most.length < 2) return '';
  const parts = most.map(({ name, durationMs }) => `${name.replace(' restore', '')} ${formatDuration(durationMs)}`);
  return `: ${parts.join(', ')}`;
}
