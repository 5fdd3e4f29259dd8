/**
 * What became of the slots of every schedule that is in force in the repository, whichever host is to run it: with the
 * repository and the key alone, so also where that host is gone.
 */
import { nextMoment, parseCron } from '../../lib/cron.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { checkTimeZone } from '../../lib/time-zone.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Repository } from '../../repository/repository.ts';
import { slotScope, type SlotName } from '../../repository/slots/names.ts';
import { readPlans, type PublishedPlan } from '../../repository/slots/plans.ts';
import { openSlots, slotsOfBackup, type ReadSlot } from '../../repository/slots/records.ts';
import { dueMoments, isSettled } from '../due-slots.ts';
import type { StatusRunning, StatusSchedule } from './request.ts';

/** So many moments are looked back at. */
const looksBack = 10;

/** Those of a target, and those of all; undefined: every one. `counting`: manifests that count. */
export async function surveySlots(
  repository: Repository,
  counting: readonly ListedManifest[],
  running: readonly StatusRunning[],
  only: string | undefined,
  nowMs: number,
): Promise<StatusSchedule[]> {
  const backedUp = await slotsOfBackups(repository, counting);
  const found: StatusSchedule[] = [];
  for (const { plan, records } of await readPlans(repository)) {
    const isMeant = only === undefined || plan.target === undefined || plan.target === only;
    if (!plan.enabled || !isMeant || !isUnderstood(plan)) continue;
    found.push(await surveyPlan(repository, plan, records, backedUp, running, nowMs));
  }
  return found;
}

/** A newer version may know more expressions and zones. */
function isUnderstood({ cronExpression, timezone }: PublishedPlan): boolean {
  try {
    checkTimeZone(timezone);
    return parseCron(cronExpression) !== undefined;
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error;
    return false;
  }
}

async function surveyPlan(
  repository: Repository,
  plan: PublishedPlan,
  records: readonly SlotName[],
  backedUp: ReadonlySet<string>,
  running: readonly StatusRunning[],
  nowMs: number,
): Promise<StatusSchedule> {
  const { target, id, name, type, host, cronExpression, timezone, graceMinutes } = plan;
  const lateMs = nowMs - graceMinutes * 60_000;
  const late = dueMoments(plan, Date.parse(plan.since), lateMs).slice(-looksBack);
  const recent = dueMoments(plan, Math.max(lateMs, Date.parse(plan.since)), nowMs).slice(-looksBack);
  const due = [...late, ...recent];
  const of = new Set(due);
  const known = await openSlots(
    repository,
    plan,
    records.filter(({ atMs }) => of.has(atMs)),
  );
  const isRun = (dueMs: number): boolean => backedUp.has(nameOf(target, id, dueMs)) || hasRun(plan, known, dueMs);
  const lastRun = due.findLastIndex(isRun);
  // One that is not late yet is none that is missed; but where it has run, it stands for those before it.
  const missed = due.slice(lastRun + 1).filter((dueMs) => dueMs <= lateMs);
  const cron = parseCron(cronExpression);
  const next = cron === undefined ? undefined : nextMoment(cron, nowMs, timezone);
  return {
    ...(target === undefined ? {} : { target }),
    id,
    name,
    type,
    host,
    cronExpression,
    timezone,
    lastRun: lastRun === -1 ? undefined : utc(due[lastRun] ?? 0),
    next: next === undefined ? undefined : utc(next),
    lastDue: due.length === 0 ? undefined : utc(due.at(-1) ?? 0),
    succeededAt: newestEnd(known, (outcome) => outcome === 'done'),
    failedAt: newestEnd(known, (outcome) => ['failed', 'hung', 'aborted'].includes(outcome)),
    missed: missed.map((dueMs) => ({ due: utc(dueMs), ...failureOf(known, dueMs) })),
    isRunning: running.some(({ scope, isAlive }) => isAlive && scope === slotScope(plan)),
  };
}

/** A scheduled status that finds something has run: that it did must be no reason of its own. */
function hasRun(plan: PublishedPlan, known: readonly ReadSlot[], dueMs: number): boolean {
  const of = known.filter((each) => each.dueMs === dueMs);
  if (plan.type === 'status') return of.length > 0;
  return isSettled({ attempts: Infinity }, of, dueMs);
}

function failureOf(known: readonly ReadSlot[], dueMs: number): { readonly outcome?: string; readonly code?: string } {
  const last = known
    .filter((each) => each.dueMs === dueMs)
    .toSorted((a, b) => Date.parse(a.finishedAt) - Date.parse(b.finishedAt))
    .at(-1);
  return last === undefined ? {} : { outcome: last.outcome, ...(last.code === undefined ? {} : { code: last.code }) };
}

/** When the last of these records was closed. */
function newestEnd(known: readonly ReadSlot[], isMeant: (outcome: ReadSlot['outcome']) => boolean): string | undefined {
  const ends = known.filter(({ outcome }) => isMeant(outcome)).map(({ finishedAt }) => Date.parse(finishedAt));
  return ends.length === 0 ? undefined : utc(Math.max(...ends));
}

async function slotsOfBackups(repository: Repository, counting: readonly ListedManifest[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (const listed of counting) {
    for (const { id, dueMs } of await slotsOfBackup(repository, listed)) {
      found.add(nameOf(listed.manifest?.target, id, dueMs));
    }
  }
  return found;
}

function nameOf(target: string | undefined, id: string, dueMs: number): string {
  return `${target ?? '_'}/${id} ${dueMs}`;
}

function utc(ms: number): string {
  return new Date(ms).toISOString();
}
