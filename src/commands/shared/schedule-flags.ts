/** The flags that say what a schedule is. */
import { InvalidArgumentError, type Command } from 'commander';
import type { ScheduleType } from '../../config/schedule-options.ts';
import type { ScheduleChange, ScheduleMembers } from '../../operations/schedule/request.ts';
import { count, dryRunFlag, oneOf, several } from './flags.ts';

export interface ScheduleFlags {
  readonly name?: string;
  readonly type?: string;
  readonly cron?: string;
  readonly timezone?: string;
  readonly missed?: 'once' | 'skip' | 'all';
  readonly graceMinutes?: number;
  readonly timeoutSeconds?: number;
  readonly attempts?: number;
  readonly option?: string[];
  readonly unset?: string[];
  readonly dryRun?: boolean;
}

/** Adds them to a command. */
export function scheduleFlags(command: Command): Command {
  return command
    .option('--name <text>', 'for people')
    .option(
      '--type <type>',
      'what is done: full (default), database, redis, files, base, validate, integrity, drill, drill-pitr, cleanup, ' +
        'status',
    )
    .option('--timezone <zone>', 'whose clock, such as Europe/Berlin (default: that of the host)')
    .option('--missed <rule>', 'moments without a run: once, skip or all', oneOf(['once', 'skip', 'all'] as const))
    .option('--grace-minutes <number>', 'so long after its moment a run is still on time', count)
    .option('--timeout-seconds <number>', 'ends a run that takes longer', count)
    .option('--attempts <number>', 'so often a slot is tried', count)
    .option('--option <name=value>', 'a flag of its command; may be repeated', option)
    .addOption(dryRunFlag());
}

/** What they ask for; --target is an option of the command as well. */
export function changeOf(
  act: ScheduleChange['act'],
  id: string,
  {
    name,
    type,
    cron,
    timezone,
    missed,
    graceMinutes,
    timeoutSeconds,
    attempts,
    option: options = [],
    unset,
  }: ScheduleFlags,
  target: string | undefined,
): ScheduleChange {
  const members: ScheduleMembers = {
    ...(name === undefined ? {} : { name }),
    // Whether it is one, the reader of the configuration says.
    ...(type === undefined ? {} : { type: type as ScheduleType }),
    ...(cron === undefined ? {} : { cronExpression: cron }),
    ...(timezone === undefined ? {} : { timezone }),
    ...(missed === undefined ? {} : { missed }),
    ...(graceMinutes === undefined ? {} : { graceMinutes }),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    ...(attempts === undefined ? {} : { attempts }),
  };
  const all = target === undefined ? options : [...options, `target=${target}`];
  return { act, id, members, options: all, unset: unset ?? [] };
}

function option(text: string, before: readonly string[] | undefined): string[] {
  if (!/^[A-Za-z-]+(=|$)/.test(text)) throw new InvalidArgumentError('It must be name=value, such as maxSize=20GB.');
  return several(text, before);
}
