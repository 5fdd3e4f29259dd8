/** What is wrong with the schedules that are in force in the repository. Pure. */
import { counted } from '../../lib/units.ts';
import type { StatusReason, StatusSchedule } from './request.ts';
import { degraded, unhealthy } from './reason.ts';

/** One moment without a run wants a look; two in a row are a schedule that is not run any more. */
export function judgeSlots(schedule: StatusSchedule): StatusReason[] {
  const { target, id, name, type, host, missed, isRunning } = schedule;
  const [first, ...others] = missed;
  const newest = missed.at(-1);
  if (first === undefined || newest === undefined || (isRunning && others.length === 0)) return [];
  const what = newest.outcome === undefined ? 'never ran' : `${newest.outcome}${codeOf(newest.code)}`;
  const before =
    others.length === 0 ? '' : `, nor did ${counted(others.length, 'moment')} before it come to a good end`;
  const of = target === undefined ? '' : ` of ${target}`;
  const message = `schedule "${name}" (${type}${of}, of ${host}) ${what} at ${newest.due}${before}`;
  const next = `lifeboat schedule run ${id} --slot`;
  const weigh = others.length === 0 ? degraded : unhealthy;
  return [weigh(`slot:${target ?? '_'}/${id}:${first.due}`, message, next, target)];
}

function codeOf(code: string | undefined): string {
  return code === undefined ? '' : ` (${code})`;
}
