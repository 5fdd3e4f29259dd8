/**
 * The retention policy: which backups stay, which go, and why. Pure: no clock, no storage. What one rule
 * keeps stays, whatever the others say; a backup of several components lives as long as its longest-kept
 * one. Hours, days, weeks, months and years are those of UTC: they have no daylight saving time, so no
 * hour is missing or comes twice.
 */
import type { RetentionByComponent } from '../../config/config.ts';
import { anchorsOf, heldBy, isCounting, judged } from './anchors.ts';
import { findCollapses, overLimit, runLimit, type Stop } from './guards.ts';
import { dateAll, keepTag, safetyTag, type Dated, type PolicyBackup } from './backups.ts';
import { keptByRules, hasRules, rulesInWords } from './rules.ts';

export interface Verdict {
  readonly id: string;
  readonly keep: boolean;
  /** Whole phrases; never empty. */
  readonly reasons: readonly string[];
}

export interface PolicyOutcome {
  /** Oldest first. */
  readonly verdicts: readonly Verdict[];
  /** Why nothing of a target may go. */
  readonly stops: readonly Stop[];
  /** How many the rules let go, but the limit of one run keeps. */
  readonly overLimit: number;
}

const dayMs = 86_400_000;
const safetyDays = 7;

/**
 * Judges every backup. `policies` by target: backups of a target that it lacks stay. `nowMs` is milliseconds since
 * 1970; `maxDelete` the most that may go now (default: half of each target's, rounded down, but one at least).
 */
export function applyPolicy(
  backups: readonly PolicyBackup[],
  policies: ReadonlyMap<string, RetentionByComponent>,
  nowMs: number,
  maxDelete?: number,
): PolicyOutcome {
  const dated = dateAll(backups, nowMs);
  const keep = new Map<string, string[]>(dated.map(({ id }) => [id, []]));
  const stops: Stop[] = [];
  for (const [target, all] of Map.groupBy(dated, (each) => each.target)) {
    const policy = policies.get(target);
    if (policy === undefined) {
      note(keep, all, `target ${target} is not configured here`);
      continue;
    }
    judgeTarget(target, all, policy, nowMs, keep);
    stops.push(
      ...findCollapses(
        target,
        all.filter(({ future }) => !future),
      ),
    );
  }
  const leaving = dated.filter(({ id }) => keep.get(id)?.length === 0);
  for (const stop of stops) {
    note(
      keep,
      leaving.filter(({ target }) => target === stop.target),
      stop.reason,
    );
  }
  const free = leaving.filter(({ id }) => keep.get(id)?.length === 0);
  const tooMany = overLimit(dated, free, maxDelete);
  note(keep, tooMany, runLimit);
  const verdicts = dated.map((backup) => verdict(backup, keep.get(backup.id) ?? [], policies.get(backup.target)));
  return { verdicts, stops, overLimit: tooMany.length };
}

function judgeTarget(
  target: string,
  all: readonly Dated[],
  policy: RetentionByComponent,
  nowMs: number,
  keep: Map<string, string[]>,
): void {
  for (const backup of all) for (const reason of keptForItself(backup, nowMs)) note(keep, [backup], reason);
  for (const { name, component, isOf } of judged) {
    const having = all.filter((each) => each.components.some(isOf));
    const counting = having.filter(isCounting);
    if (!hasRules(policy[component])) note(keep, having, `there is no rule for ${name}`);
    for (const { backup, reason } of anchorsOf(target, name, having)) note(keep, [backup], reason);
    for (const [id, reasons] of keptByRules(
      having.filter(({ future }) => !future),
      new Set(counting),
      policy[component],
      nowMs,
    )) {
      const several = new Set(all.find((each) => each.id === id)?.components.map((part) => part.component)).size > 1;
      for (const reason of reasons) keep.get(id)?.push(several ? `${name}: ${reason}` : reason);
    }
    if (name === 'base') keepForLog(counting, policy, nowMs, keep);
  }
}

/** Log is kept for so many days: without the base backup before them the oldest of it could not be replayed. */
function keepForLog(
  bases: readonly Dated[],
  { walDays }: RetentionByComponent,
  nowMs: number,
  keep: Map<string, string[]>,
): void {
  if (walDays === undefined) return;
  const first = bases.findLast(({ takenMs }) => takenMs <= nowMs - walDays * dayMs) ?? bases[0];
  if (first !== undefined) {
    note(keep, [first], `the log of the last ${walDays === 1 ? 'day' : `${walDays} days`} is replayed from it`);
  }
}

function keptForItself(backup: Dated, nowMs: number): string[] {
  const { tags, future, takenMs } = backup;
  const reasons = heldBy(backup);
  if (tags.includes(keepTag)) reasons.push(`tagged ${keepTag}`);
  if (future) reasons.push('dated in the future: its age cannot be told');
  if (tags.includes(safetyTag) && takenMs > nowMs - safetyDays * dayMs) {
    reasons.push(`safety backup of the last ${safetyDays} days`);
  }
  return reasons;
}

function note(keep: Map<string, string[]>, backups: readonly Dated[], reason: string): void {
  for (const { id } of backups) keep.get(id)?.push(reason);
}

function verdict(
  { id, components, failing, flawed }: Dated,
  kept: readonly string[],
  policy: RetentionByComponent | undefined,
): Verdict {
  if (kept.length > 0) return { id, keep: true, reasons: kept };
  const names = [...new Set(components.map(({ component }) => component))];
  const rules = names.map((name) =>
    policy === undefined ? '' : `${names.length > 1 ? `${name}: ` : ''}${rulesInWords(policy[name])}`,
  );
  return { id, keep: false, reasons: [...faultsOf(failing, flawed), ...rules] };
}

function faultsOf(failing: boolean, flawed: boolean): string[] {
  return [...(failing ? ['a check found it damaged'] : []), ...(flawed ? ['its source was damaged'] : [])];
}
