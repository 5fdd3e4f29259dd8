/**
 * Runs what a schedule stands for, in this process: now, or the slot that is due. The command that it stands for writes
 * its own record into the audit log.
 */
import type { Schedule } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Operation } from '../operation.ts';
import { attempt } from './attempt.ts';
import { commandOf } from './run-command.ts';
import { prepareRun } from './prepare.ts';
import type { RanSlots, ScheduleRunOptions, ScheduleRunRequest, ScheduleRunResult } from './request.ts';
import { runDueSlots } from './slot.ts';
import { slotTimes } from './slot-times.ts';

/** Loads what the schedule stands for, since that says which secrets are needed. */
export async function scheduleRunOperation(
  schedule: Schedule,
): Promise<Operation<ScheduleRunOptions, ScheduleRunRequest, ScheduleRunResult>> {
  const prepared = await prepareRun(schedule);
  return {
    isMeasured: true,
    commandWithin: commandOf(schedule).command,
    need: () => ({ repository: true, encryption: true, ...prepared.need }),
    complete: ({ slot = false, ...options }) => ({ ...options, slot, prepared }),
    run: runSchedule,
    exitCode: ({ exitCode }) => exitCode,
  };
}

async function runSchedule(
  loaded: LoadedConfig,
  { schedule, prepared, slot, times = slotTimes, watch }: ScheduleRunRequest,
  context: RunContext,
): Promise<ScheduleRunResult> {
  const startedMs = Date.now();
  const ran = slot
    ? await runDueSlots(loaded, { schedule, prepared, times, watch }, context)
    : await runNow(loaded, { schedule, prepared }, context);
  const { id, name, type } = schedule;
  return {
    id,
    name,
    type,
    ...ran,
    backupId: ran.backupId ?? ran.slots.findLast(({ backupId }) => backupId !== undefined)?.backupId,
    startedAt: new Date(startedMs).toISOString(),
    durationMs: Date.now() - startedMs,
    warnings: warningsOf(ran.answer ?? {}),
  };
}

/** Rejects as the command does. */
async function runNow(
  loaded: LoadedConfig,
  { schedule, prepared }: Pick<ScheduleRunRequest, 'schedule' | 'prepared'>,
  context: RunContext,
): Promise<RanSlots> {
  const { error, outcome, exitCode, answer, backupId } = await attempt(schedule, prepared, loaded, context);
  if (error !== undefined) throw error;
  return { outcome: outcome === 'done' ? 'done' : 'failed', exitCode, slots: [], answer, backupId };
}

function warningsOf(answer: object): string[] {
  const { warnings } = answer as { warnings?: unknown };
  return Array.isArray(warnings) ? warnings.filter((each): each is string => typeof each === 'string') : [];
}
