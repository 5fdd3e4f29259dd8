/** What `lifeboat schedule` prints. */
import type { ScheduleType } from '../config/schedule-options.ts';
import type {
  ScheduleEditResult,
  ScheduleInstallResult,
  ScheduleListResult,
  SchedulePrintResult,
  SchedulePublishResult,
  ScheduleRunResult,
  ShownSchedule,
  ShownSlot,
} from '../operations/schedule/request.ts';
import { formatDuration } from '../lib/time.ts';
import { printable } from '../lib/printable.ts';
import { shownTime } from './sizes.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';

export const scheduleListView: View<ScheduleListResult> = {
  schema: 'lifeboat.schedule-list/v1',
  kind: 'query',
  text: async ({ schedules, file }) => {
    if (schedules.length === 0) return `no schedules in ${file ?? 'the configuration'}: lifeboat schedule add`;
    const rows = schedules.map((each) => [
      each.id,
      each.type,
      each.target ?? '',
      each.cronExpression,
      each.timezone,
      each.enabled ? (each.next[0] === undefined ? 'never' : shownTime(each.next[0])) : 'switched off',
      each.last[0] === undefined ? '' : shownTime(each.last[0]),
    ]);
    return columns(['ID', 'TYPE', 'TARGET', 'WHEN', 'ZONE', 'NEXT (UTC)', 'LAST DUE (UTC)'], rows);
  },
};

export const scheduleShowView: View<ShownSchedule> = {
  schema: 'lifeboat.schedule-show/v1',
  kind: 'query',
  text: (each) => {
    const limit = each.timeoutSeconds === undefined ? 'no time limit' : `at most ${each.timeoutSeconds} s`;
    return [
      `${each.id}: ${each.name}`,
      `  runs      ${each.type}${each.enabled ? '' : ', but is switched off'}`,
      `  when      ${each.cronExpression} in ${each.timezone}`,
      `  options   ${JSON.stringify(each.options)}`,
      `  missed    ${each.missed}, on time within ${each.graceMinutes} min, ${each.attempts} attempts, ${limit}`,
      ...each.next.map((at, index) => `  ${index === 0 ? 'next    ' : '        '}  ${shownTime(at)}`),
      ...each.last.map((at, index) => {
        const slot = each.slots?.[index];
        const what = slot === undefined ? '' : `  ${outcomeText(slot)}`;
        return `  ${index === 0 ? 'last due' : '        '}  ${shownTime(at)}${what}`;
      }),
      ...(each.slotsUnknown === undefined ? [] : [`what became of them is not known: ${each.slotsUnknown}`]),
    ].join('\n');
  },
};

function outcomeText({ outcome, backupId, code, exitCode, message, host, by }: ShownSlot): string {
  const where = host === undefined ? '' : ` on ${host}`;
  switch (outcome) {
    case 'done':
      return `done${where}${backupId === undefined ? '' : `: ${backupId}`}`;
    case 'failed':
    case 'hung':
    case 'aborted':
      return `${outcome}${where} (${code ?? `exit code ${exitCode}`})${message === undefined ? '' : `: ${message}`}`;
    case 'skipped':
      return `skipped${message === undefined ? '' : `: ${message}`}`;
    case 'caught-up':
      return `caught up with by the run of ${shownTime(by ?? '')}`;
    case 'waiting':
      return 'not run yet, still on time';
    case 'never':
      return 'never ran';
    case 'not-in-force':
      return 'not in force then';
  }
}

export const scheduleEditView: View<ScheduleEditResult> = {
  schema: 'lifeboat.schedule-edit/v1',
  kind: 'action',
  text: ({ file, id, act, schedule, diff, dryRun, warnings }) => {
    if (diff.length === 0) return [`nothing to change in ${file}`, ...warnings.map(warned)].join('\n');
    const next = schedule?.next.map((at, index) => `  ${index === 0 ? 'next' : '    '}  ${shownTime(at)}`) ?? [];
    return [
      ...(dryRun ? [`would change "schedules" in ${file}:`, ...diff] : [`${id}: ${done[act]} in ${file}`]),
      ...next,
      ...(schedule?.enabled === false ? ['  it is switched off'] : []),
      ...warnings.map(warned),
      ...(dryRun ? [] : ['To say so in the repository, for status: lifeboat schedule publish']),
    ].join('\n');
  },
};

const done: Readonly<Record<ScheduleEditResult['act'], string>> = {
  add: 'added',
  update: 'updated',
  remove: 'removed',
  enable: 'switched on',
  disable: 'switched off',
};

function warned(warning: string): string {
  return `warning: ${warning}`;
}

export const schedulePrintView: View<SchedulePrintResult> = {
  schema: 'lifeboat.schedule-print/v1',
  kind: 'query',
  hasLines: true,
  // What is left out stands in a comment, so that it can be piped as it is.
  text: ({ files, kind, warnings }) =>
    [
      ...warnings.map((each) => `# ${printable(each)}`),
      ...files.map(({ name, text }) => `${kind === 'systemd' ? `# ${name}\n` : ''}${text}`),
    ]
      .join('\n')
      .trimEnd(),
};

export const scheduleInstallView: View<ScheduleInstallResult> = {
  schema: 'lifeboat.schedule-install/v1',
  kind: 'action',
  text: ({ changes, dryRun, remove, warnings }) => {
    const would = dryRun ? 'would be ' : '';
    const lines = changes.flatMap(({ path, change, diff }) => [`${path}: ${would}${change}`, ...(dryRun ? diff : [])]);
    const nothing = remove ? 'nothing is in place' : 'all is in place already';
    return [
      ...(changes.length === 0 ? [nothing] : lines),
      ...warnings.map(warned),
      ...(dryRun || remove ? [] : ['To say so in the repository, for status: lifeboat schedule publish']),
    ].join('\n');
  },
};

export const schedulePublishView: View<SchedulePublishResult> = {
  schema: 'lifeboat.schedule-publish/v1',
  kind: 'action',
  text: ({ published, withdrawn, warnings }) =>
    [
      published.length === 0 ? 'nothing is new' : `in force from now on: ${published.join(', ')}`,
      ...(withdrawn.length === 0 ? [] : [`in force no more: ${withdrawn.join(', ')}`]),
      ...warnings.map(warned),
    ].join('\n'),
};

export const scheduleRunView: View<ScheduleRunResult> = {
  schema: 'lifeboat.schedule-run/v1',
  kind: 'action',
  text: async ({ id, type, outcome, reason, slots, answer, durationMs }, paint) => {
    const own = answer === undefined ? '' : await (await viewOf[type]()).text(answer as never, paint);
    const why = reason === undefined ? '' : ` (${reason})`;
    const due = slots.length === 0 ? '' : `, due ${[...new Set(slots.map((slot) => shownTime(slot.due)))].join(', ')}`;
    const end = `schedule ${id}: ${outcome}${why}${due}, took ${formatDuration(durationMs)}`;
    return own === '' ? end : `${own}\n${end}`;
  },
  document: (result) => ({ ...result, answer: undefined }),
};

const backup = async (): Promise<View<never>> => (await import('./backup-view.ts')).backupView;
const drill = async (): Promise<View<never>> => (await import('./drill-view.ts')).drillView;

/** How people see the answer of the command that a schedule stands for. */
const viewOf: Readonly<Record<ScheduleType, () => Promise<View<never>>>> = {
  full: backup,
  database: backup,
  redis: backup,
  files: backup,
  base: backup,
  validate: async () => (await import('./validate-view.ts')).validateView,
  integrity: async () => (await import('./integrity-view.ts')).integrityView,
  drill,
  'drill-pitr': drill,
  cleanup: async () => (await import('./cleanup-view.ts')).cleanupView,
  report: async () => (await import('./report-view.ts')).scheduledReportView,
  status: async () => (await import('./status-view.ts')).statusView,
};
