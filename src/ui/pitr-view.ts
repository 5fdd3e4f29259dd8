/** What `lifeboat pitr` and `create-restore-point` print. */
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import { counted, formatBytes } from '../lib/units.ts';
import type { PitrFallback, PitrPlanned, PitrResult, RestorePointResult } from '../operations/pitr/request.ts';
import type { Paint } from './terminal.ts';
import type { View } from './view.ts';

export const pitrView: View<PitrResult> = { schema: 'lifeboat.pitr/v1', kind: 'action', text: textOf };

export const restorePointView: View<RestorePointResult> = {
  schema: 'lifeboat.create-restore-point/v1',
  kind: 'action',
  text: ({ name, lsn, at }) =>
    `restore point ${printable(name)} at ${lsn}, ${at}; to come back to it: lifeboat pitr --to ` +
    `'name:${printable(name)}' --data-dir <new folder>`,
};

function textOf(result: PitrResult, paint: Paint): string {
  if (result.outcome === 'planned') return [...planLines(result), '', plannedLine(result, paint)].join('\n');
  if (result.outcome === 'done') return doneText(result, paint);
  const lines = fallbackLines(result, paint);
  return [
    ...lines,
    '',
    ...(result.outcome === 'fallback-planned' ? ['nothing was changed'] : [...madeLines(result), ...result.nextSteps]),
  ].join('\n');
}

function fallbackLines(
  { outcome, id, target, to, reason, at, lostMs, dataDir, ...more }: PitrFallback & { readonly outcome: string },
  paint: Paint,
): string[] {
  return [
    `${outcome === 'fallback' ? paint.yellow('restored') : 'restore'} ${target} from before ${printable(to)}: ` +
      printable(reason),
    `backup       ${id}, as of ${at}`,
    `lost         what was written in the ${formatDuration(lostMs)} after it`,
    ...(dataDir === undefined ? [] : [`into         ${dataDir}, a new cluster`]),
    ...moreLines(more),
  ];
}

/** What comes after the cluster itself. */
function moreLines({ copies = [], others = [] }: Pick<PitrPlanned, 'copies' | 'others'>): string[] {
  return [
    ...copies.map(({ to, action }) => `database     ${printable(to)}: ${printable(action)}`),
    ...others.flatMap(({ component, id, at, distanceMs, steps }) => [
      `${component.padEnd(12)} ${id} of ${at}, ${formatDuration(distanceMs)} before the moment`,
      ...steps.map(({ to, action }) => `             ${printable(to)}: ${action}`),
    ]),
  ];
}

function madeLines({
  copied = [],
  restored = [],
  safetyBackupId,
}: Pick<Extract<PitrResult, { outcome: 'done' }>, 'copied' | 'restored' | 'safetyBackupId'>): string[] {
  const verdicts = { equal: 'equal', partial: 'equal where it could be compared', 'not-checked': 'not compared' };
  const lines = [...copied, ...restored].flatMap(({ name, to, summary, verified, kept, undo }) => [
    `${name}: ${[printable(to), ...(summary === undefined ? [] : [summary]), verdicts[verified]].join(', ')}`,
    ...(kept === undefined ? [] : [`the old ${name} is kept as ${printable(kept)}`]),
    ...(undo === undefined ? [] : [`to take it back: ${printable(undo)}`]),
  ]);
  return [...lines, ...(safetyBackupId === undefined ? [] : [`what was there before is backup ${safetyBackupId}`])];
}

function planLines({
  id,
  target,
  to,
  serverVersion,
  timeline,
  baseAt,
  baseBytes,
  segments,
  window,
  estimatedMs,
  dataDir,
  tablespaces,
  ...more
}: PitrPlanned): string[] {
  return [
    `recover ${target} (PostgreSQL ${serverVersion}) to ${printable(to)}`,
    `base backup  ${id}, complete at ${baseAt}, ${formatBytes(baseBytes)}`,
    `WAL          ${counted(segments.count, 'segment')}, ${segments.first} to ${segments.last}, at most ` +
      `${formatBytes(segments.bytes)}, timeline ${timeline}`,
    `possible     ${window.from} to ${window.to ?? 'the end of the base backup'}; what was committed after the ` +
      'chosen moment is not in the recovered cluster',
    `time         about ${formatDuration(estimatedMs)}`,
    ...(dataDir === undefined ? [] : [`into         ${dataDir}`]),
    ...tablespaces.map(tablespaceLine),
    ...moreLines(more),
  ];
}

function tablespaceLine({ name, from, to, bytes }: PitrPlanned['tablespaces'][number]): string {
  const way = `from ${printable(from)}${to === undefined ? '' : ` to ${to}`}`;
  return `tablespace   ${printable(name)}, ${formatBytes(bytes)}, ${way}`;
}

function plannedLine({ checked }: Extract<PitrResult, { outcome: 'planned' }>, paint: Paint): string {
  return checked === undefined
    ? 'nothing was changed; --check opens every segment that is needed'
    : `${paint.green('checked')}: all ${counted(checked, 'segment')} open; nothing was changed`;
}

function doneText(result: Extract<PitrResult, { outcome: 'done' }>, paint: Paint): string {
  const { dataDir, to, stopped, lastCommitAt, databases, structure, durationMs, nextSteps } = result;
  const checked =
    structure.databases.length === 0
      ? []
      : [`pg_amcheck found no damage in ${structure.databases.map(printable).join(', ')}`];
  const where = dataDir === undefined ? 'in a throwaway cluster' : `into ${dataDir}`;
  const last = lastCommitAt === undefined ? '' : `; last transaction ${lastCommitAt}`;
  return [
    `${paint.green('recovered')} ${printable(to)} ${where} in ${formatDuration(durationMs)}`,
    `${stopped}${last}; every table of ${databases.map(printable).join(', ')} was read`,
    ...checked,
    ...structure.notes.map((note) => `not checked: ${printable(note)}`),
    ...madeLines(result),
    ...(nextSteps.length === 0 ? [] : ['', ...nextSteps]),
  ].join('\n');
}
