/** Which schedules are to back up a component, when they should have done so last, and when they will next. Pure. */
import type { Config, Schedule, TargetConfig } from '../../config/config.ts';
import { lastMoment, nextMoment, parseCron } from '../../lib/cron.ts';

/** A component's schedules taken together; milliseconds since 1970. */
export interface DueTimes {
  /** Names, for people. */
  readonly schedules: readonly string[];
  /** There must be a backup that was begun since; undefined: none was due yet. */
  readonly dueMs: number | undefined;
  readonly nextMs: number | undefined;
}

/** What is configured of a target, by the names that operators know. */
export function configuredComponents(target: TargetConfig | undefined): string[] {
  if (target === undefined) return [];
  const { postgres, redis, files } = target;
  return [
    postgres === undefined ? [] : 'database',
    redis === undefined ? [] : 'redis',
    files === undefined ? [] : 'files',
    postgres?.base === undefined ? [] : 'base',
  ].flat();
}

/**
 * Undefined where no schedule that a clock tells is for it. Expressions that cannot be parsed count as no schedule: the
 * configuration refuses them.
 */
export function dueTimes(
  config: Pick<Config, 'schedules' | 'defaultTarget' | 'targets'>,
  target: string,
  component: string,
  nowMs: number,
): DueTimes | undefined {
  const timed = config.schedules.flatMap((schedule) => {
    const cron = isFor(schedule, config, target, component) ? parsed(schedule.cronExpression) : undefined;
    return cron === undefined
      ? []
      : [
          {
            name: schedule.name,
            due: lastMoment(cron, nowMs - schedule.graceMs, schedule.timezone),
            next: nextMoment(cron, nowMs, schedule.timezone),
          },
        ];
  });
  if (timed.length === 0) return undefined;
  const due = timed.flatMap((each) => each.due ?? []);
  const next = timed.flatMap((each) => each.next ?? []);
  return {
    schedules: timed.map(({ name }) => name),
    dueMs: due.length === 0 ? undefined : Math.max(...due),
    nextMs: next.length === 0 ? undefined : Math.min(...next),
  };
}

/** A schedule that names no target is for the default one, else for all. */
function isFor(
  { enabled, type, options }: Schedule,
  { defaultTarget }: Pick<Config, 'defaultTarget'>,
  target: string,
  component: string,
): boolean {
  const wanted = options.target ?? defaultTarget;
  return enabled && (type === 'full' || type === component) && (wanted === undefined || wanted === target);
}

function parsed(expression: string): ReturnType<typeof parseCron> {
  try {
    return parseCron(expression);
  } catch {
    return undefined;
  }
}
