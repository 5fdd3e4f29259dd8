/** One schedule with its moments, and what became of those that were due, as far as the repository can be asked. */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { compactUtc } from '../../lib/time.ts';
import type { Repository } from '../../repository/repository.ts';
import { slotNames } from '../../repository/slots/documents.ts';
import { scheduleFolder, type ScheduleKey } from '../../repository/slots/names.ts';
import { readPlan } from '../../repository/slots/plans.ts';
import { messageOfSlot, openSlots, slotsOfBackup } from '../../repository/slots/records.ts';
import { repositoryNeeds } from '../complete.ts';
import { withRepository } from '../open-repository.ts';
import type { Operation } from '../operation.ts';
import { chooseSchedule } from './choose.ts';
import { listSchedules } from './list.ts';
import type { ScheduleShowOptions, ScheduleShowRequest, ShownSchedule, ShownSlot } from './request.ts';
import { scheduleKeyOf } from './slot.ts';
import { slotAt, type SlotFacts } from './slot-facts.ts';

export const scheduleShowOperation: Operation<ScheduleShowOptions, ScheduleShowRequest, ShownSchedule> = {
  need: ({ unreadable }) => (unreadable === undefined ? repositoryNeeds : {}),
  complete: ({ count = 5, ...options }) => ({ ...options, count: Math.min(count, 1000) }),
  run: showSchedule,
};

/** A storage that does not answer keeps nobody waiting for what the configuration tells. */
const opening = { retryBudgetMs: 5000 };

async function showSchedule(
  loaded: LoadedConfig,
  { id, count, unreadable }: ScheduleShowRequest,
  context: RunContext,
): Promise<ShownSchedule> {
  const schedule = chooseSchedule(loaded, id);
  const nowMs = Date.now();
  const shown = listSchedules(loaded, count, nowMs).schedules.find((each) => each.id === id);
  if (shown === undefined) throw new Error('a schedule that was chosen is listed');
  if (unreadable !== undefined) return { ...shown, slotsUnknown: unreadable };
  try {
    const of = scheduleKeyOf(loaded, schedule);
    const read = async (repository: Repository): Promise<ShownSlot[]> => slotsOf(repository, of, shown.last, nowMs);
    return { ...shown, slots: await withRepository(loaded, context, read, opening) };
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error;
    return { ...shown, slotsUnknown: messageOf(error) };
  }
}

/** `due`: the latest first. */
async function slotsOf(
  repository: Repository,
  of: ScheduleKey,
  due: readonly string[],
  nowMs: number,
): Promise<ShownSlot[]> {
  const first = due.at(-1);
  if (first === undefined) return [];
  const after = compactUtc(new Date(Date.parse(first) - 1000));
  const names = await slotNames(repository, of, `${scheduleFolder(of)}${after}`);
  const facts: SlotFacts = {
    plan: await readPlan(repository, of),
    records: await openSlots(
      repository,
      of,
      names.filter(({ kind }) => kind === 'record'),
    ),
    backups: await backupsBySlot(repository, of, after),
    nowMs,
  };
  const slots: ShownSlot[] = [];
  for (const each of due) {
    const { record, ...slot } = slotAt(facts, each);
    const isTold = record?.message !== undefined && slot.outcome !== 'done';
    const message = isTold ? await messageOfSlot(repository, record).catch(() => undefined) : undefined;
    slots.push(message === undefined ? slot : { ...slot, message });
  }
  return slots;
}

/** By due moment. An id bears the time of the host that wrote it, whose clock may differ by an hour. */
async function backupsBySlot(
  repository: Repository,
  { target, id }: ScheduleKey,
  after: string,
): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  if (target === undefined) return found;
  for await (const listed of repository.listManifests({ after })) {
    if (listed.manifest?.target !== target) continue;
    for (const slot of await slotsOfBackup(repository, listed)) if (slot.id === id) found.set(slot.dueMs, listed.id);
  }
  return found;
}
