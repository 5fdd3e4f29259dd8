/**
 * What `lifeboat status` and `acknowledge` print: the verdict first, then why, then what there is.
 */
import type { ChalkInstance } from 'chalk';
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import { formatBytes } from '../lib/units.ts';
import type {
  AcknowledgeResult,
  RestoreEstimate,
  StatusReason,
  StatusResult,
  StatusTarget,
  StatusWal,
} from '../operations/status/request.ts';
import { reachedText } from './list-view.ts';
import { counted, shownTime } from './sizes.ts';
import type { View } from './view.ts';

export const statusView: View<StatusResult> = {
  schema: 'lifeboat.status/v1',
  kind: 'query',
  text: (result, paint) =>
    [
      verdictText(result, paint),
      ...result.reasons.flatMap(reasonText),
      ...result.targets.flatMap(targetText),
      ...result.wal.flatMap(walText),
      ...placeText(result),
    ].join('\n'),
};

export const acknowledgeView: View<AcknowledgeResult> = {
  schema: 'lifeboat.acknowledge/v1',
  kind: 'action',
  text: ({ message }) => `meant to be: ${printable(message)}`,
};

/** So many moments are printed of each target; --json has all. */
const shownMoments = 5;

function verdictText({ verdict, next }: StatusResult, paint: ChalkInstance): string {
  const colour = { healthy: paint.green, degraded: paint.yellow, unhealthy: paint.red }[verdict];
  return `${colour(verdict)}${next === undefined ? '' : `; next: ${next}`}`;
}

function reasonText({ id, weight, message, next, acknowledged }: StatusReason): string[] {
  if (acknowledged !== undefined) {
    return [
      `  acknowledged: ${printable(message)}${acknowledged.reason === '' ? '' : ` (${printable(acknowledged.reason)})`}`,
    ];
  }
  return [`  ${weight}: ${printable(message)}`, `    next: ${next}   [${printable(id)}]`];
}

function targetText({
  name,
  components,
  newest,
  newestProven,
  provenMoment,
  restoreTime,
  moments,
  analytics,
}: StatusTarget): string[] {
  const lines = [`target ${name}`];
  if (newest === undefined) return [...lines, '  no backup'];
  lines.push(
    `  newest    ${newest.id}, ${shownTime(newest.takenAt)}, ${formatDuration(newest.ageMs)} old, ` +
      (newest.standing === undefined ? (newest.state ?? 'unknown') : reachedText(newest.standing)),
  );
  for (const each of components) {
    if (each.newestId !== newest.id) {
      lines.push(
        `  ${each.name.padEnd(9)} ` +
          (each.newestId === undefined ? 'no backup' : `${each.newestId}, ${formatDuration(each.ageMs ?? 0)} old`),
      );
    }
  }
  const scheduled = components.filter(({ schedules }) => schedules !== undefined);
  for (const { name: component, schedules = [], dueAt, nextAt } of scheduled) {
    lines.push(
      `  scheduled ${component}: ` +
        `${schedules.join(', ')}${dueAt === undefined ? '' : `, was due ${shownTime(dueAt)}`}${nextAt === undefined ? '' : `, next ${shownTime(nextAt)}`}`,
    );
  }
  lines.push(
    `  proven    ${newestProven === undefined ? 'never' : `${newestProven.id}, ${shownTime(newestProven.provenAt)}`}`,
  );
  if (provenMoment !== undefined) {
    lines.push(
      `  recovered to ${provenMoment.moment} by the drill of ${shownTime(provenMoment.provenAt)}, in ` +
        formatDuration(provenMoment.restoreMs),
    );
  }
  if (restoreTime !== undefined) {
    lines.push(
      `  restore   about ${formatDuration(restoreTime.ms)} ` +
        `(${restoreTime.basis === 'measured' ? `measured by the drill of ${shownTime(restoreTime.measuredAt ?? '')}` : (restoreTime.assumption ?? 'assumed')})${longest(restoreTime)}`,
    );
  }
  const shown = moments
    .slice(0, shownMoments)
    .map(({ at, isDamaged }) => `${shownTime(at)}${isDamaged === true ? ' (damaged)' : ''}`);
  lines.push(
    '  moments   ' +
      `${shown.join(', ')}${moments.length > shownMoments ? `, and ${moments.length - shownMoments} more` : ''}`,
  );
  const { days, successes, failures, averageReadBytes, averageDurationMs, storedBytes, ratio } = analytics;
  const averages =
    averageReadBytes === undefined
      ? ''
      : `, on average ${formatBytes(averageReadBytes)} in ${formatDuration(averageDurationMs ?? 0)}`;
  lines.push(
    `  ${counted(days, 'day').padEnd(9)} ${counted(successes, 'backup')}, ` +
      `${counted(failures, 'failure')}${averages}; ${formatBytes(storedBytes)} stored in ` +
      `all${ratio === undefined ? '' : ` (${ratio} bytes protected for each)`}`,
  );
  return lines;
}

/** So many windows are printed of each cluster, the newest; --json has all. */
const shownWindows = 3;

function walText({
  systemId,
  targets,
  isCurrent,
  windows,
  gaps,
  missingHistories,
  archived,
  server,
}: StatusWal): string[] {
  const lines = [
    'log of cluster ' +
      `${systemId}${targets.length === 0 ? '' : ` (${targets.join(', ')})`}${isCurrent ? '' : ', which another one has replaced'}`,
  ];
  const shown = windows.slice(-shownWindows).map(({ from, to }) => `${shownTime(from)} to ${shownTime(to)}`);
  lines.push(
    '  any moment ' +
      `${shown.length === 0 ? 'none: no base backup with all of its log' : shown.join(', and ')}${windows.length > shownWindows ? `, and ${windows.length - shownWindows} earlier spans` : ''}`,
  );
  if (archived !== undefined) {
    lines.push(
      `  archived  up to ${archived.lsn}, ` +
        `${shownTime(archived.at)}${server === undefined ? '; the server was not asked how far it is ahead' : `; the server is ${formatBytes(server.behindBytes)} ahead`}`,
    );
  }
  if (gaps.length > 0) {
    lines.push(
      `  gaps      ${counted(gaps.length, 'gap')}, ${counted(
        gaps.reduce((sum, { segments }) => sum + segments, 0),
        'segment',
      )}: lifeboat wal status`,
    );
  }
  if (missingHistories.length > 0) lines.push(`  missing   ${missingHistories.join(', ')}`);
  return lines;
}

function placeText({
  repository,
  storage: { freeBytes, capacityBytes, budgetBytes, storedBytes, packBytes, deadBytes },
  running,
}: StatusResult): string[] {
  const free =
    freeBytes === undefined || capacityBytes === undefined
      ? ''
      : `, ${formatBytes(freeBytes)} of ${formatBytes(capacityBytes)} free`;
  const budget =
    budgetBytes === undefined ? '' : `, ${formatBytes(storedBytes)} of a budget of ${formatBytes(budgetBytes)}`;
  const dead =
    packBytes === undefined || deadBytes === undefined || packBytes === 0
      ? ''
      : `, packs ${formatBytes(packBytes)}, of that at most ${Math.round((deadBytes / packBytes) * 100)} % dead`;
  return [
    `repository ${repository}${free}${budget}${dead}`,
    ...running
      .filter(({ isAlive }) => isAlive)
      .map(
        ({ command, scope, user, host, since }) =>
          `running ${command} (${scope}) by ${user}@${host} since ${shownTime(since)}`,
      ),
  ];
}

/** Where most of the time goes. */
function longest({ steps = [] }: RestoreEstimate): string {
  const most = steps.toSorted((a, b) => b.durationMs - a.durationMs).slice(0, 3);
  return most.length < 2
    ? ''
    : ': ' +
        most.map(({ name, durationMs }) => `${name.replace(' restore', '')} ${formatDuration(durationMs)}`).join(', ');
}
