/** What `lifeboat pitr` and `create-restore-point` print. */
import type { ChalkInstance } from 'chalk';
import { formatDuration } from '../lib/time.ts';
import { formatBytes } from '../lib/units.ts';
import type { PitrPlanned, PitrResult, RestorePointResult } from '../operations/pitr-requests.ts';
import { counted } from './sizes.ts';
import { oneLine } from './table.ts';
import type { View } from './view.ts';

export const pitrView: View<PitrResult> = {
  schema: 'lifeboat.pitr/v1',
  kind: 'action',
  text: (result, paint) => (result.outcome === 'planned' ? [...planLines(result), '', plannedLine(result, paint)].join('\n') : doneText(result, paint)),
};

export const restorePointView: View<RestorePointResult> = {
  schema: 'lifeboat.create-restore-point/v1',
  kind: 'action',
  text: ({ name, lsn, at }) => `restore point ${oneLine(name)} at ${lsn}, ${at}; to come back to it: lifeboat pitr --to 'name:${oneLine(name)}' --data-dir <new folder>`,
};

function planLines({ id, target, to, serverVersion, timeline, baseAt, baseBytes, segments, window, estimatedMs, dataDir, tablespaces }: PitrPlanned): string[] {
  return [
    `recover ${target} (PostgreSQL ${serverVersion}) to ${oneLine(to)}`,
    `base backup  ${id}, complete at ${baseAt}, ${formatBytes(baseBytes)}`,
    `WAL          ${counted(segments.count, 'segment')}, ${segments.first} to ${segments.last}, at most ${formatBytes(segments.bytes)}, timeline ${timeline}`,
    `possible     ${window.from} to ${window.to ?? 'the end of the base backup'}; what was committed after the chosen moment is not in the recovered cluster`,
    `time         about ${formatDuration(estimatedMs)}`,
    ...(dataDir === undefined ? [] : [`into         ${dataDir}`]),
    ...tablespaces.map(({ name, from, to, bytes }) => `tablespace   ${oneLine(name)}, ${formatBytes(bytes)}, from ${oneLine(from)}${to === undefined ? '' : ` to ${to}`}`),
  ];
}

function plannedLine({ checked }: Extract<PitrResult, { outcome: 'planned' }>, paint: ChalkInstance): string {
  return checked === undefined ? 'nothing was changed; --check opens every segment that is needed' : `${paint.green('checked')}: all ${counted(checked, 'segment')} open; nothing was changed`;
}

function doneText(result: Extract<PitrResult, { outcome: 'done' }>, paint: ChalkInstance): string {
  const { dataDir, to, stopped, databases, durationMs, nextSteps } = result;
  return [
    `${paint.green('recovered')} ${oneLine(to)} into ${dataDir ?? ''} in ${formatDuration(durationMs)}`,
    `${stopped}; every table of ${databases.map(oneLine).join(', ')} was read`,
    '',
    ...nextSteps,
  ].join('\n');
}
