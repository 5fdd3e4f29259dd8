/**
 * Which of the chosen slots are to be tried now, and when the others are: for a daemon, which keeps the pauses between
 * attempts itself, and takes over what another host has begun. Pure: all of it stands in the records.
 */
import type { KnownSlot, SlotChoice } from '../due-slots.ts';

/** What a record tells besides. */
export interface TriedSlot extends KnownSlot {
  /** Of the error. */
  readonly code?: string | undefined;
  /** RFC 3339. */
  readonly finishedAt?: string | undefined;
}

export interface Tries {
  readonly now: SlotChoice['runs'];
  /** When the next one is to be tried, before which none after it is: milliseconds since 1970; undefined: none is. */
  readonly againMs: number | undefined;
}

/** What failed for a reason that does not pass is left to its next moment. */
export function triesOf(
  { runs }: Pick<SlotChoice, 'runs'>,
  known: readonly TriedSlot[],
  pausesMs: readonly number[],
  nowMs: number,
): Tries {
  const timed = runs.map((run) => ({ run, atMs: momentOfTry(run, known, pausesMs, nowMs) }));
  const later = timed.findIndex(({ atMs }) => atMs !== undefined && atMs > nowMs);
  const before = later === -1 ? timed : timed.slice(0, later);
  return { now: before.filter(({ atMs }) => atMs !== undefined).map(({ run }) => run), againMs: timed[later]?.atMs };
}

/** How long is waited after so many attempts. */
export function pauseAfter(attempts: number, pausesMs: readonly number[]): number {
  return pausesMs[Math.min(attempts, pausesMs.length) - 1] ?? 0;
}

/** True of a failure that may not come again; by the code of its error. */
export function mayPass(code: string | undefined): boolean {
  return code !== undefined && passing.has(code);
}

/** What may be over by the next attempt. `crash`: the process of the run died. */
const passing = new Set<string>(['locked', 'source', 'space', 'storage', 'crash']);

function momentOfTry(
  { dueMs, attempt }: SlotChoice['runs'][number],
  known: readonly TriedSlot[],
  pausesMs: readonly number[],
  nowMs: number,
): number | undefined {
  const failed = known.filter((each) => each.dueMs === dueMs && ['failed', 'hung'].includes(each.outcome));
  const [last] = failed.toSorted((a, b) => endOf(b) - endOf(a));
  if (last === undefined) return nowMs;
  if (!mayPass(last.code)) return undefined;
  const pauseMs = pauseAfter(attempt - 1, pausesMs);
  // A clock that is ahead of ours puts off no attempt for longer than the pause.
  return Math.min(endOf(last), nowMs) + pauseMs;
}

function endOf({ finishedAt }: TriedSlot): number {
  return finishedAt === undefined ? 0 : Date.parse(finishedAt);
}
