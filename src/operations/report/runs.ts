/** What became of the moments of each schedule, by their records. */
import { lastMoment, parseCron } from '../../lib/cron.ts';
import type { Repository } from '../../repository/repository.ts';
import { allSlotNames } from '../../repository/slots/documents.ts';
import type { SlotName } from '../../repository/slots/names.ts';
import { openSlots, type ReadSlot } from '../../repository/slots/records.ts';
import type { StatusSchedule } from '../status/request.ts';
import type { ReportedSchedule } from './request.ts';

/** Of moments in this time, milliseconds since 1970; `inForce` are the schedules that the repository has now. */
export async function schedulesWithin(
  repository: Repository,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  inForce: readonly StatusSchedule[],
  only: string | undefined,
): Promise<ReportedSchedule[]> {
  const found: ReportedSchedule[] = [];
  for (const names of (await allSlotNames(repository)).values()) {
    const [first] = names;
    if (first === undefined || (only !== undefined && first.target !== undefined && first.target !== only)) continue;
    const within = names.filter(({ kind, atMs }) => kind === 'record' && atMs >= fromMs && atMs < toMs);
    const schedule = inForce.find(({ id, target }) => id === first.id && target === first.target);
    if (within.length === 0 && schedule === undefined) continue;
    const { target, id } = first;
    const records = await openSlots(repository, { target, id }, within);
    const sinceMs = records.reduce((ms, { dueMs }) => Math.max(ms, dueMs), Math.max(fromMs, ...planned(names)));
    const { type, cronExpression } = schedule ?? {};
    found.push({ id, target, type, cronExpression, ...tally(records), missed: missedSince(schedule, sinceMs, fromMs) });
  }
  return found.toSorted((a, b) => compare(a.target ?? '', b.target ?? '') || compare(a.id, b.id));
}

/** When it was first published, if that is known. */
function planned(names: readonly SlotName[]): number[] {
  const plans = names.filter(({ kind }) => kind === 'plan').map(({ atMs }) => atMs);
  return plans.length === 0 ? [] : [plans.reduce((a, b) => Math.min(a, b))];
}

/** No more are counted. */
const mostMissed = 100_000;

/** Status names the latest ones only: those before them, back to the last one that was run, are missed as well. */
function missedSince(schedule: StatusSchedule | undefined, sinceMs: number, fromMs: number): number {
  const missed = (schedule?.missed ?? []).filter(
    ({ outcome, due }) => outcome === undefined && Date.parse(due) >= fromMs,
  );
  const [earliest] = missed;
  if (schedule === undefined || earliest === undefined) return 0;
  const cron = parseCron(schedule.cronExpression);
  if (cron === undefined) return missed.length;
  let count = missed.length;
  for (let atMs: number | undefined = Date.parse(earliest.due); count < mostMissed; count++) {
    atMs = lastMoment(cron, atMs - 1, schedule.timezone);
    if (atMs === undefined || atMs <= sinceMs) break;
  }
  return count;
}

type Tally = Pick<ReportedSchedule, 'done' | 'failed' | 'hung' | 'aborted' | 'skipped' | 'attempts' | 'caughtUp'>;

/** A moment is as its last attempt was; one that was done stays so. */
function tally(records: readonly ReadSlot[]): Tally {
  const sums = { done: 0, failed: 0, hung: 0, aborted: 0, skipped: 0 };
  let caughtUp = 0;
  for (const attempts of Map.groupBy(records, ({ dueMs }) => dueMs).values()) {
    const last = attempts.toSorted((a, b) => a.attempt - b.attempt || compare(a.finishedAt, b.finishedAt)).at(-1);
    const { outcome, covers = 0 } = attempts.find((each) => each.outcome === 'done') ?? last ?? {};
    if (outcome !== undefined) sums[outcome]++;
    caughtUp += covers;
  }
  return { ...sums, attempts: records.filter(({ outcome }) => outcome !== 'skipped').length, caughtUp };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
