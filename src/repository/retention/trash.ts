/**
 * What may not leave trash for good, although its grace time has passed: the guards of the policy hold there too. So
 * whatever became of the backups that were live, the last one that can be restored is not taken by a cleanup. Pure.
 */
import { anchorsOf, heldBy, judged } from './anchors.ts';
import { dateAll, type PolicyBackup } from './backups.ts';
import { overLimit, runLimit, type Stop } from './guards.ts';

export interface TrashGuards {
  readonly live: readonly PolicyBackup[];
  /** Those that we moved there. */
  readonly trash: readonly PolicyBackup[];
  /** Of targets of which nothing may go. */
  readonly stops: readonly Stop[];
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** The most that may leave now; undefined: half of each target's, one at least. */
  readonly maxDelete: number | undefined;
}

export interface KeptInTrash {
  /** By id, each in one phrase. */
  readonly reasons: ReadonlyMap<string, string>;
  /** How many stay only since one run deletes no more. */
  readonly overLimit: number;
}

/** `over`: ids in trash whose grace time has passed. */
export function keptInTrash(over: readonly string[], guards: TrashGuards): KeptInTrash {
  const { live, trash, stops, nowMs, maxDelete } = guards;
  const dated = dateAll([...live, ...trash], nowMs);
  const reasons = new Map<string, string>();
  for (const [target, all] of Map.groupBy(dated, (each) => each.target)) {
    const stop = stops.filter((each) => each.target === target).map(({ reason }) => reason);
    for (const each of all) {
      for (const reason of [...heldBy(each), ...stop]) reasons.set(each.id, reason);
    }
    for (const { name, isOf } of judged) {
      const having = all.filter(({ components }) => components.some(isOf));
      for (const { backup, reason } of anchorsOf(target, name, having)) reasons.set(backup.id, reason);
    }
  }
  const ids = new Set(over);
  const leaving = dated.filter(({ id }) => ids.has(id) && !reasons.has(id));
  const tooMany = overLimit(dated, leaving, maxDelete);
  for (const { id } of tooMany) reasons.set(id, runLimit);
  return { reasons: new Map([...reasons].filter(([id]) => ids.has(id))), overLimit: tooMany.length };
}
