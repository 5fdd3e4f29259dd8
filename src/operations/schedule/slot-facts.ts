/** What became of a moment of a schedule, by what the repository holds. Pure. */
import type { Plan } from '../../repository/slots/plans.ts';
import type { ReadSlot } from '../../repository/slots/records.ts';
import type { ShownSlot } from './request.ts';

export interface SlotFacts {
  /** As it is in force; undefined: it never was. */
  readonly plan: Plan | undefined;
  /** Those that count. */
  readonly records: readonly ReadSlot[];
  /** Ids of backups that name a slot, by its due moment. */
  readonly backups: ReadonlyMap<number, string>;
  readonly nowMs: number;
}

/** With the record that says it, if one does. */
export function slotAt(facts: SlotFacts, due: string): ShownSlot & { readonly record?: ReadSlot } {
  const { plan, records, backups, nowMs } = facts;
  const dueMs = Date.parse(due);
  const record = decisive(records.filter((each) => each.dueMs === dueMs));
  const backupId = backups.get(dueMs) ?? record?.backup;
  if (record !== undefined) {
    const { outcome, exitCode, code, attempt, host, finishedAt } = record;
    const isDone = backups.has(dueMs) || outcome === 'done';
    const known = { attempt, host, finishedAt, ...(backupId === undefined ? {} : { backupId }) };
    return isDone
      ? { due, outcome: 'done', ...known, record }
      : { due, outcome, exitCode, ...(code === undefined ? {} : { code }), ...known, record };
  }
  if (backupId !== undefined) return { due, outcome: 'done', backupId };
  const later = records.find((each) => each.dueMs > dueMs && coveredBy(facts, each, dueMs));
  if (later !== undefined) return { due, outcome: 'caught-up', by: later.due };
  if (plan === undefined || dueMs <= Date.parse(plan.since)) return { due, outcome: 'not-in-force' };
  return { due, outcome: nowMs - dueMs <= plan.graceMinutes * 60_000 ? 'waiting' : 'never' };
}

/** A run that was good, else the last one. */
function decisive(records: readonly ReadSlot[]): ReadSlot | undefined {
  const inOrder = records.toSorted((a, b) => Date.parse(a.finishedAt) - Date.parse(b.finishedAt));
  return inOrder.findLast(({ outcome }) => outcome === 'done' || outcome === 'skipped') ?? inOrder.at(-1);
}

/** It says how many moments it stands for, but not which: those right before it that have no record of their own. */
function coveredBy({ records }: SlotFacts, { dueMs, covers = 0 }: ReadSlot, missedMs: number): boolean {
  const isBetween = records.some((each) => each.dueMs > missedMs && each.dueMs < dueMs);
  return covers > 0 && !isBetween;
}
