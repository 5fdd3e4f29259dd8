/** What `lifeboat emergency-restore` prints: what can be had, the plan, and the timeline of what was done. */
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import { counted, formatBytes } from '../lib/units.ts';
import type { EmergencyPlan } from '../operations/emergency/plan.ts';
import type { EmergencyComponent, EmergencyStatusResult, UnfinishedRun } from '../operations/emergency/status.ts';
import { shownTime } from './sizes.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';
import type { EmergencyResult } from '../operations/emergency/request.ts';

export const emergencyStatusView: View<EmergencyStatusResult> = {
  schema: 'lifeboat.emergency-status/v1',
  kind: 'query',
  text: async ({ repository, targets }, paint) => {
    if (targets.length === 0) return paint.red(`nothing can be restored: there are no backups in ${repository}`);
    const rows = targets.flatMap(({ target, components }) =>
      components.map((each) => [target, each.component, ...cellsOf(each)]),
    );
    const passed = targets.flatMap(({ components }) =>
      components.flatMap(({ component, passedOver }) =>
        passedOver.map(({ id, reason }) => `newer, but not whole: ${id} (${component}): ${printable(reason)}`),
      ),
    );
    const unfinished = targets.flatMap(({ target, unfinished: run }) =>
      run === undefined ? [] : [paint.yellow(unfinishedLine(target, run))],
    );
    const next = targets
      .filter(({ components }) => components.some(({ id }) => id !== undefined))
      .map(
        ({ target }) =>
          `to see the plan, changing nothing: lifeboat emergency-restore restore --dry-run --target ${target}`,
      );
    const none = targets.flatMap(({ target, components }) =>
      components
        .filter(({ id }) => id === undefined)
        .map(({ component }) =>
          paint.red(
            `no backup of ${component} of target ${target} is whole; parts may still be got out of one: lifeboat ` +
              `list --target ${target}, then lifeboat export <id> <folder>`,
          ),
        ),
    );
    return [
      await columns(
        ['TARGET', 'COMPONENT', 'NEWEST WHOLE BACKUP', 'TAKEN (UTC)', 'AGE', 'SIZE', 'PROVEN (UTC)', 'TAKES'],
        rows,
        [4, 5],
      ),
      ...new Set(passed),
      ...none,
      ...unfinished,
      ...next,
    ].join('\n');
  },
};

function unfinishedLine(target: string, { id, startedAt, pid, done, left }: UnfinishedRun): string {
  const steps = `done: ${done.join(', ') || 'nothing'}; left: ${left.join(', ')}`;
  if (pid !== undefined) {
    return `an emergency restore of ${id}, begun ${startedAt}, runs on this host (process ${pid}); ${steps}`;
  }
  return (
    `an emergency restore of ${id}, begun ${startedAt}, was interrupted (${steps}); to go on: lifeboat ` +
    `emergency-restore restore --resume --target ${target}`
  );
}

function cellsOf({ id, takenAt, ageMs, bytes, provenAt, state, expectedMs }: EmergencyComponent): string[] {
  if (id === undefined || takenAt === undefined) return ['none is whole', '', '', '', '', ''];
  return [
    id,
    shownTime(takenAt),
    formatDuration(ageMs ?? 0),
    formatBytes(bytes ?? 0),
    provenAt === undefined ? `never (${state ?? 'unknown'})` : shownTime(provenAt),
    expectedMs === undefined ? 'not measured' : formatDuration(expectedMs),
  ];
}

export const emergencyView: View<EmergencyResult> = {
  schema: 'lifeboat.emergency-restore/v1',
  kind: 'action',
  text: async (result, paint) => {
    if (result.outcome === 'planned') {
      const next =
        result.planFile === undefined
          ? `nothing was changed; to carry it out: ${carryOut(result.plan)}`
          : `the plan is in ${result.planFile}; to carry it out: lifeboat emergency-restore restore --target ` +
            `${result.target} --apply ${result.planFile}`;
      return [...result.lines.map(printable), next].join('\n');
    }
    const rows = result.steps.map(({ name, state, startedAt, finishedAt }) => [
      startedAt === undefined ? '' : shownTime(startedAt),
      name,
      state,
      startedAt === undefined || finishedAt === undefined
        ? ''
        : formatDuration(Date.parse(finishedAt) - Date.parse(startedAt)),
    ]);
    const warned =
      result.warnings.length === 0 ? '' : paint.yellow(`, with ${counted(result.warnings.length, 'warning')}`);
    return [
      await columns(['BEGAN (UTC)', 'STEP', 'STATE', 'TIME'], rows, [3]),
      ...result.steps.flatMap(({ notes }) => notes.map(printable)),
      `${paint.green('restored')} target ${result.target} from ${result.id} in ` +
        `${formatDuration(result.durationMs)}${warned}`,
      `all of it stands in ${result.journal}; next: look at what the restored programs say, then take a backup: ` +
        `lifeboat backup --target ${result.target}`,
    ].join('\n');
  },
};

/** The same again, carried out. */
function carryOut({ id, target, components, safetyBackup, forced }: EmergencyPlan): string {
  const [only, ...others] = components;
  const flags = [
    ...(only !== undefined && others.length === 0 ? [`--${only}-only`] : []),
    ...(safetyBackup ? [] : ['--no-backup']),
    ...(forced ? ['--force'] : []),
  ];
  return ['lifeboat emergency-restore restore', id, '--target', target, ...flags].join(' ');
}
