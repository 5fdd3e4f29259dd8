/**
 * Runs the slot of a schedule that is due: at most once over all hosts that share the repository. Its lease keeps
 * others away, a record that counts says that it was done, and a backup names its slot itself: so a crash between
 * manifest and record repeats nothing.
 */
import type { Schedule } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { isBackupType } from '../../config/schedule-options.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { hostTimeZone } from '../../lib/time-zone.ts';
import { compactUtc } from '../../lib/time.ts';
import { acquireLease } from '../../repository/leases/acquire.ts';
import type { Lease } from '../../repository/leases/lease.ts';
import type { Repository } from '../../repository/repository.ts';
import { checkScheduleId, scheduleFolder, slotScope, type ScheduleKey } from '../../repository/slots/names.ts';
import { publishPlan, type PlanDraft } from '../../repository/slots/plans.ts';
import { slotNames } from '../../repository/slots/documents.ts';
import { openSlots, slotsOfBackup, writeSlot, type SlotDraft } from '../../repository/slots/records.ts';
import { chooseSlots, dueMoments, isSettled, type SlotRules } from '../due-slots.ts';
import { withRepository } from '../open-repository.ts';
import { chooseTarget } from '../targets.ts';
import { triesOf, type TriedSlot } from './next-try.ts';
import type { PreparedRun } from './prepare.ts';
import { SlotRunner } from './slot-runner.ts';
import type { SlotTimes } from './slot-times.ts';
import type { RanSlots, SlotWatch } from './request.ts';

/** What is to be run when it is due. */
export interface DueWork {
  readonly schedule: Schedule;
  readonly prepared: PreparedRun;
  readonly times: SlotTimes;
  readonly watch?: SlotWatch | undefined;
}

/**
 * What became of it. Rejects as the command does that the schedule stands for, once all attempts are used up; the
 * record is written then, too.
 */
export async function runDueSlots(
  loaded: LoadedConfig,
  { schedule, prepared, times, watch }: DueWork,
  context: RunContext,
): Promise<RanSlots> {
  const of = scheduleKeyOf(loaded, schedule);
  return withRepository(loaded, context, async (repository) => {
    // Who publishes it by its first run is called by the very moment that is to be run.
    const sinceMs = times.now() - schedule.graceMs;
    const { plan } = await publishPlan(repository, of, planOf(schedule), times.now(), sinceMs);
    if (!schedule.enabled) return { outcome: 'skipped', reason: 'it is switched off', slots: [], exitCode: 0 };
    const lost = new AbortController();
    const lease = await takeSlot(repository, of, context, (error) => lost.abort(error));
    if (typeof lease === 'string') return { outcome: 'elsewhere', reason: lease, slots: [], exitCode: 0 };
    await using _ = lease;
    const rules: SlotRules = { ...plan, graceMs: schedule.graceMs, sinceMs: Date.parse(plan.since) };
    const known = await knownSlots(repository, of, rules, times.now());
    const choice = chooseSlots(rules, known, times.now());
    for (const dueMs of choice.skips) await writeSlot(repository, of, skipped(dueMs, times.now()));
    const watched = { ...context, signal: AbortSignal.any([context.signal, lost.signal]) };
    const runner = new SlotRunner({ loaded, schedule, prepared, of, times, watch }, watched);
    if (watch === undefined) return await runner.run(choice);
    const tries = triesOf(choice, known, times.pausesMs, times.now());
    if (tries.againMs !== undefined) watch.again(tries.againMs);
    return await runner.run({ ...choice, runs: tries.now });
  });
}

/** The schedule as the repository knows it. Throws `usage` where it can have no slots. */
export function scheduleKeyOf(loaded: LoadedConfig, { id, type, options, cronExpression }: Schedule): ScheduleKey {
  checkScheduleId(id);
  if (cronExpression.trim().toLowerCase() === '@reboot') {
    throw new LifeboatError('usage', `schedule ${id} has no slots: no clock tells @reboot`);
  }
  return { target: isBackupType(type) ? chooseTarget(loaded, options.target).name : options.target, id };
}

/** What is published of a schedule. */
export function planOf(schedule: Schedule): PlanDraft {
  const { name, type, cronExpression, timezone = hostTimeZone(), enabled, graceMs, missed, attempts } = schedule;
  return { name, type, cronExpression, timezone, enabled, graceMinutes: graceMs / 60_000, missed, attempts };
}

/** The lease, or who has it. */
async function takeSlot(
  { storage }: Repository,
  of: ScheduleKey,
  { signal }: RunContext,
  onLost: (error: LifeboatError) => void,
): Promise<Lease | string> {
  try {
    const command = `schedule run ${of.id} --slot`;
    return await acquireLease(storage, { scope: slotScope(of), command, signal, onLost });
  } catch (error) {
    if (error instanceof LifeboatError && error.code === 'locked') return error.message;
    throw error;
  }
}

/** By records, the newest settled one and what came after it, and by backups that name their slot. */
export async function knownSlots(
  repository: Repository,
  of: ScheduleKey,
  rules: SlotRules,
  nowMs: number,
): Promise<TriedSlot[]> {
  const [firstMs] = dueMoments(rules, rules.sinceMs, nowMs);
  if (firstMs === undefined) return [];
  const names = await slotNames(repository, of, `${scheduleFolder(of)}${compactUtc(new Date(firstMs - 1000))}`);
  const due = Map.groupBy(
    names.filter(({ kind, atMs }) => kind === 'record' && atMs <= nowMs),
    ({ atMs }) => atMs,
  );
  const known: TriedSlot[] = [];
  let sinceMs = firstMs;
  for (const [dueMs, each] of [...due].toReversed()) {
    known.push(...(await openSlots(repository, of, each)));
    if (!isSettled(rules, known, dueMs)) continue;
    sinceMs = dueMs;
    break;
  }
  const backups = await backedUpSlots(repository, of, sinceMs);
  return [...known, ...backups.map((dueMs) => ({ dueMs, outcome: 'done' as const }))];
}

/** Backups since that moment that name a slot of the schedule, by its due moment. */
async function backedUpSlots(repository: Repository, { target, id }: ScheduleKey, sinceMs: number): Promise<number[]> {
  if (target === undefined) return [];
  const found: number[] = [];
  const first = compactUtc(new Date(sinceMs - clocksDifferMs));
  for await (const listed of repository.listManifests({ after: first })) {
    if (listed.manifest?.target !== target) continue;
    const slots = await slotsOfBackup(repository, listed);
    found.push(...slots.filter((slot) => slot.id === id).map(({ dueMs }) => dueMs));
  }
  return found;
}

/** An id bears the time of the host that wrote it. */
const clocksDifferMs = 3_600_000;

function skipped(dueMs: number, nowMs: number): SlotDraft {
  const at = new Date(nowMs).toISOString();
  return {
    due: new Date(dueMs).toISOString(),
    attempt: 0,
    outcome: 'skipped',
    startedAt: at,
    finishedAt: at,
    exitCode: 0,
    message: 'its moment has passed, and missed is "skip"',
  };
}
