/** The schedules of the configuration with the moments around now. No repository is opened. */
import type { Schedule } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { lastMoment, nextMoment, parseCron, type Cron } from '../../lib/cron.ts';
import { hostTimeZone } from '../../lib/time-zone.ts';
import type { ListedSchedule, ScheduleListResult } from './request.ts';

/** All of them, each with one moment to come and one that was; `count` moments each way of one. */
export function listSchedules(
  { config, file, settings }: LoadedConfig,
  count = 1,
  nowMs = Date.now(),
): ScheduleListResult {
  const schedules = config.schedules.map((each) => {
    const options = settings.schedules.find(({ id }) => id === each.id)?.options ?? {};
    return listed(each, options, count, nowMs);
  });
  return { ...(file === undefined ? {} : { file }), schedules, warnings: [] };
}

function listed(schedule: Schedule, options: ListedSchedule['options'], count: number, nowMs: number): ListedSchedule {
  const { id, name, type, cronExpression, enabled, missed, attempts, graceMs, timeoutMs } = schedule;
  const cron = enabled ? parseCron(cronExpression) : undefined;
  const zone = schedule.timezone;
  return {
    id,
    name,
    type,
    ...(schedule.options.target === undefined ? {} : { target: schedule.options.target }),
    cronExpression,
    timezone: zone ?? hostTimeZone(),
    enabled,
    missed,
    graceMinutes: graceMs / 60_000,
    ...(timeoutMs === undefined ? {} : { timeoutSeconds: timeoutMs / 1000 }),
    attempts,
    options,
    next: moments(cron, count, nowMs, (from, at) => nextMoment(from, at, zone)),
    // One that is exactly there is the last one; the one before it is before that.
    last: moments(cron, count, nowMs + 1, (from, at) => lastMoment(from, at - 1, zone)),
  };
}

function moments(
  cron: Cron | undefined,
  count: number,
  nowMs: number,
  step: (cron: Cron, atMs: number) => number | undefined,
): string[] {
  const found: string[] = [];
  let atMs: number | undefined = nowMs;
  while (cron !== undefined && found.length < count) {
    atMs = step(cron, atMs);
    if (atMs === undefined) break;
    found.push(new Date(atMs).toISOString());
  }
  return found;
}
