/** Schedules to begin with: what suits the targets that are configured, at hours that keep out of each other's way. */
import { setMember } from '../../config/jsonc-edit.ts';
import type { Config, TargetConfig } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import type { ScheduleType } from '../../config/schedule-options.ts';
import { editFile } from '../../lib/edit-file.ts';
import { tellingFileErrors } from '../../lib/file-errors.ts';
import { hostTimeZone } from '../../lib/time-zone.ts';

/** As the configuration has them. */
export interface ProposedSchedule {
  readonly id: string;
  readonly type: ScheduleType;
  readonly cronExpression: string;
  readonly timezone: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** Backups of each target, then checks, cleanup and a drill of all; none where nothing is to be backed up. */
export function proposedSchedules(
  { targets }: Pick<Config, 'targets'>,
  timezone: string = hostTimeZone(),
): ProposedSchedule[] {
  const several = targets.size > 1;
  const backups = [...targets.values()].flatMap((target) =>
    backupTimes(target).map(([type, cronExpression]) => ({
      id: several ? `${type}-${target.name}`.slice(0, 63) : type,
      type,
      cronExpression,
      timezone,
      ...(several ? { options: { target: target.name } } : {}),
    })),
  );
  if (backups.length === 0) return [];
  return [
    ...backups,
    { id: 'cleanup', type: 'cleanup', cronExpression: '0 4 * * *', timezone },
    { id: 'check-daily', type: 'validate', cronExpression: '0 6 * * *', timezone, options: { quick: true } },
    { id: 'check-weekly', type: 'validate', cronExpression: '0 7 * * 0', timezone },
    { id: 'drill-monthly', type: 'drill', cronExpression: '0 8 1 * *', timezone },
  ];
}

function backupTimes({ postgres, redis, files }: TargetConfig): [ScheduleType, string][] {
  return [
    ...(postgres === undefined ? [] : [['database', '0 2 * * *'] satisfies [ScheduleType, string]]),
    ...(postgres?.base === undefined ? [] : [['base', '0 1 * * 0'] satisfies [ScheduleType, string]]),
    ...(files === undefined ? [] : [['files', '30 2 * * *'] satisfies [ScheduleType, string]]),
    ...(redis === undefined ? [] : [['redis', '0 3 * * *'] satisfies [ScheduleType, string]]),
  ];
}

/** Writes them into a configuration file that has none; false where there are some, or none suit. */
export async function addProposedSchedules({ config, file, origins }: LoadedConfig): Promise<boolean> {
  const proposed = proposedSchedules(config);
  if (file === undefined || origins.has('schedules') || proposed.length === 0) return false;
  const details = { state: 'nothing was changed' };
  await tellingFileErrors(`cannot add schedules to ${file}`, details, async () =>
    editFile(file, async (text) => setMember(text, [], 'schedules', proposed)),
  );
  return true;
}

/** Why there is nothing to propose; undefined: there is. */
export function whyNoSchedules({ config, origins }: LoadedConfig): string | undefined {
  const from = origins.get('schedules');
  if (from !== undefined) return `no schedules were proposed: there are some already, in ${from}`;
  return proposedSchedules(config).length > 0
    ? undefined
    : 'no schedules were proposed: nothing to back up is configured yet';
}
