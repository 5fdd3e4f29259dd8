/**
 * The moments of a schedule that wait for a run, and what is to become of them. Pure: the same for the run of a slot,
 * for a daemon and for status.
 */
import { lastMoment, parseCron } from '../lib/cron.ts';
import type { SlotOutcome } from '../repository/slots/records.ts';

/** What is known of one slot; times in milliseconds since 1970. */
export interface KnownSlot {
  readonly dueMs: number;
  readonly outcome: SlotOutcome;
}

/** When a schedule runs, and what of moments that were missed. */
export interface SlotRules {
  readonly cronExpression: string;
  readonly timezone: string;
  /** From when on its moments count. */
  readonly sinceMs: number;
  readonly graceMs: number;
  readonly missed: 'once' | 'skip' | 'all';
  readonly attempts: number;
}

/** What is to be done now, the earliest first. */
export interface SlotChoice {
  /** With how many moments before it that it stands for. */
  readonly runs: readonly { readonly dueMs: number; readonly attempt: number; readonly covers: number }[];
  /** Missed, and to stay so. */
  readonly skips: readonly number[];
  /** The newest moment that was due, and whether it is settled. */
  readonly newestMs: number | undefined;
}

/** No more moments are looked back at: with `all`, no more are caught up on. */
export const mostMissed = 100;

/** What of the due moments has no outcome yet. */
export function chooseSlots(rules: SlotRules, known: readonly KnownSlot[], nowMs: number): SlotChoice {
  const waiting = waitingSlots(rules, known, nowMs);
  const newestMs = newestDue(rules, nowMs);
  const last = waiting.at(-1);
  if (last === undefined) return { runs: [], skips: [], newestMs };
  const run = (dueMs: number, covers = 0): SlotChoice['runs'][number] => ({
    dueMs,
    attempt: tries(known, dueMs) + 1,
    covers,
  });
  const earlier = waiting.slice(0, -1);
  switch (rules.missed) {
    case 'all':
      return { runs: waiting.map((dueMs) => run(dueMs)), skips: [], newestMs };
    case 'once':
      return { runs: [run(last, earlier.length)], skips: [], newestMs };
    case 'skip': {
      const isLate = nowMs - last > rules.graceMs;
      return { runs: isLate ? [] : [run(last)], skips: isLate ? waiting : earlier, newestMs };
    }
  }
}

/** The due moments since the newest one that is settled, the earliest first. */
export function waitingSlots(rules: SlotRules, known: readonly KnownSlot[], nowMs: number): number[] {
  const settled = known.filter(({ dueMs }) => dueMs <= nowMs && isSettled(rules, known, dueMs));
  const floorMs = Math.max(rules.sinceMs, ...settled.map(({ dueMs }) => dueMs));
  return dueMoments(rules, floorMs, nowMs);
}

/** Due after the one moment and until the other, the earliest first; the latest `mostMissed` of them. */
export function dueMoments(
  { cronExpression, timezone }: Pick<SlotRules, 'cronExpression' | 'timezone'>,
  afterMs: number,
  untilMs: number,
): number[] {
  const cron = parseCron(cronExpression);
  const found: number[] = [];
  for (let atMs: number | undefined = untilMs; cron !== undefined && found.length < mostMissed; atMs--) {
    atMs = lastMoment(cron, atMs, timezone);
    if (atMs === undefined || atMs <= afterMs) break;
    found.push(atMs);
  }
  return found.toReversed();
}

function newestDue({ cronExpression, timezone }: SlotRules, nowMs: number): number | undefined {
  const cron = parseCron(cronExpression);
  return cron === undefined ? undefined : lastMoment(cron, nowMs, timezone);
}

/** Done, meant to be left out, or tried often enough. */
export function isSettled(
  { attempts }: Pick<SlotRules, 'attempts'>,
  known: readonly KnownSlot[],
  dueMs: number,
): boolean {
  const of = known.filter((each) => each.dueMs === dueMs);
  return of.some(({ outcome }) => outcome === 'done' || outcome === 'skipped') || tries(known, dueMs) >= attempts;
}

/** Whoever was interrupted has not tried. */
function tries(known: readonly KnownSlot[], dueMs: number): number {
  return known.filter((each) => each.dueMs === dueMs && ['failed', 'hung'].includes(each.outcome)).length;
}
