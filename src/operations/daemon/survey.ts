/** How the schedules of the configuration are doing, by what the repository has of them: for status and metrics. */
import type { Schedule } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { slotNames } from '../../repository/slots/documents.ts';
import type { ScheduleKey, SlotName } from '../../repository/slots/names.ts';
import { readPlan } from '../../repository/slots/plans.ts';
import { openSlots, type ReadSlot } from '../../repository/slots/records.ts';
import { waitingSlots, type SlotRules } from '../due-slots.ts';
import { withRepository } from '../open-repository.ts';
import { knownSlots, scheduleKeyOf } from '../schedule/slot.ts';
import type { SurveyedSchedule } from './messages.ts';

/** Those that are switched on and have slots. Throws what the storage throws. */
export async function surveySchedules(
  loaded: LoadedConfig,
  context: RunContext,
  nowMs = Date.now(),
): Promise<SurveyedSchedule[]> {
  return withRepository(loaded, context, async (repository) => {
    const found: SurveyedSchedule[] = [];
    for (const schedule of loaded.config.schedules.filter(({ enabled }) => enabled)) {
      const of = keyOf(loaded, schedule);
      if (of !== undefined) found.push(await survey(repository, of, schedule, nowMs));
    }
    return found;
  });
}

/** Undefined: it has no slots, which publishing has told. */
function keyOf(loaded: LoadedConfig, schedule: Schedule): ScheduleKey | undefined {
  try {
    return scheduleKeyOf(loaded, schedule);
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error;
    return undefined;
  }
}

async function survey(
  repository: Repository,
  of: ScheduleKey,
  { graceMs }: Schedule,
  nowMs: number,
): Promise<SurveyedSchedule> {
  const plan = await readPlan(repository, of);
  const names = (await slotNames(repository, of)).filter(({ kind }) => kind === 'record');
  const records = await newestRecords(repository, of, names);
  const done = records.filter(({ outcome }) => outcome === 'done');
  const bad = records.filter(({ outcome }) => ['failed', 'hung', 'aborted'].includes(outcome));
  const rules: SlotRules | undefined = plan && { ...plan, graceMs, sinceMs: Date.parse(plan.since) };
  const known = rules === undefined ? [] : await knownSlots(repository, of, rules, nowMs);
  const waiting = rules === undefined ? [] : waitingSlots(rules, known, nowMs);
  return {
    id: of.id,
    successMs: latest(done),
    failureMs: latest(bad),
    missed: waiting.filter((dueMs) => dueMs <= nowMs - graceMs).length,
  };
}

/** No more are read: a schedule that has failed so often has no success that anybody waits for. */
const mostRead = 60;

/** From the newest to the newest that is done. */
async function newestRecords(
  repository: Repository,
  of: ScheduleKey,
  names: readonly SlotName[],
): Promise<readonly ReadSlot[]> {
  const read: ReadSlot[] = [];
  for (const name of names.toReversed().slice(0, mostRead)) {
    read.push(...(await openSlots(repository, of, [name])));
    if (read.at(-1)?.outcome === 'done') break;
  }
  return read;
}

function latest(records: readonly ReadSlot[]): number | undefined {
  const ends = records.map(({ finishedAt }) => Date.parse(finishedAt));
  return ends.length === 0 ? undefined : Math.max(...ends);
}
