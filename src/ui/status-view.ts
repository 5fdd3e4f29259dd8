/** What `lifeboat status` and `acknowledge` print: the verdict first, then why, then what there is. Healthy is 0, degraded 3, unhealthy 19. */
import type { ChalkInstance } from 'chalk';
import { exitCodeOf, exitCodeWarnings } from '../lib/errors.ts';
import { formatDuration } from '../lib/time.ts';
import { formatBytes } from '../lib/units.ts';
import type { AcknowledgeResult, StatusReason, StatusResult, StatusTarget } from '../operations/requests.ts';
import { counted, shownTime } from './sizes.ts';
import { oneLine } from './table.ts';
import type { View } from './view.ts';

export const statusView: View<StatusResult> = {
  schema: 'lifeboat.status/v1',
  kind: 'query',
  text: (result, paint) => [verdictText(result, paint), ...result.reasons.flatMap(reasonText), ...result.targets.flatMap(targetText), ...placeText(result)].join('\n'),
  exitCode: ({ verdict }) => ({ healthy: 0, degraded: exitCodeWarnings, unhealthy: exitCodeOf.stale })[verdict],
};

export const acknowledgeView: View<AcknowledgeResult> = {
  schema: 'lifeboat.acknowledge/v1',
  kind: 'action',
  text: ({ message }) => `meant to be: ${oneLine(message)}`,
};

/** So many moments are printed of each target; --json has all. */
const shownMoments = 5;

function verdictText({ verdict, next }: StatusResult, paint: ChalkInstance): string {
  const colour = { healthy: paint.green, degraded: paint.yellow, unhealthy: paint.red }[verdict];
  return `${colour(verdict)}${next === undefined ? '' : `; next: ${next}`}`;
}

function reasonText({ id, weight, message, next, acknowledged }: StatusReason): string[] {
  if (acknowledged !== undefined) return [`  acknowledged: ${oneLine(message)}${acknowledged.reason === '' ? '' : ` (${oneLine(acknowledged.reason)})`}`];
  return [`  ${weight}: ${oneLine(message)}`, `    next: ${next}   [${oneLine(id)}]`];
}

function targetText({ name, components, newest, newestProven, restoreTime, moments, analytics }: StatusTarget): string[] {
  const lines = [`target ${name}`];
  if (newest === undefined) return [...lines, '  no backup'];
  lines.push(`  newest    ${newest.id}, ${shownTime(newest.takenAt)}, ${formatDuration(newest.ageMs)} old, ${newest.state ?? 'unknown'}`);
  for (const each of components) if (each.newestId !== newest.id) lines.push(`  ${each.name.padEnd(9)} ${each.newestId === undefined ? 'no backup' : `${each.newestId}, ${formatDuration(each.ageMs ?? 0)} old`}`);
  lines.push(`  proven    ${newestProven === undefined ? 'never' : `${newestProven.id}, ${shownTime(newestProven.provenAt)}`}`);
  if (restoreTime !== undefined) lines.push(`  restore   about ${formatDuration(restoreTime.ms)} (${restoreTime.basis === 'measured' ? `measured by the drill of ${shownTime(restoreTime.measuredAt ?? '')}` : (restoreTime.assumption ?? 'assumed')})`);
  const shown = moments.slice(0, shownMoments).map(({ at, isDamaged }) => `${shownTime(at)}${isDamaged === true ? ' (damaged)' : ''}`);
  lines.push(`  moments   ${shown.join(', ')}${moments.length > shownMoments ? `, and ${moments.length - shownMoments} more` : ''}`);
  const { days, successes, failures, averageReadBytes, averageDurationMs, storedBytes, ratio } = analytics;
  const averages = averageReadBytes === undefined ? '' : `, on average ${formatBytes(averageReadBytes)} in ${formatDuration(averageDurationMs ?? 0)}`;
  lines.push(`  ${counted(days, 'day').padEnd(9)} ${counted(successes, 'backup')}, ${counted(failures, 'failure')}${averages}; ${formatBytes(storedBytes)} stored in all${ratio === undefined ? '' : ` (${ratio} bytes protected for each)`}`);
  return lines;
}

function placeText({ repository, storage: { freeBytes, capacityBytes, budgetBytes, storedBytes }, running }: StatusResult): string[] {
  const free = freeBytes === undefined || capacityBytes === undefined ? '' : `, ${formatBytes(freeBytes)} of ${formatBytes(capacityBytes)} free`;
  const budget = budgetBytes === undefined ? '' : `, ${formatBytes(storedBytes)} of a budget of ${formatBytes(budgetBytes)}`;
  return [`repository ${repository}${free}${budget}`, ...running.filter(({ isAlive }) => isAlive).map(({ command, scope, user, host, since }) => `running ${command} (${scope}) by ${user}@${host} since ${shownTime(since)}`)];
}
