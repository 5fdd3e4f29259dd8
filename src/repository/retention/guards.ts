/** What stops the policy: a newest backup that has collapsed, and more deletions than one run may make. */
import { formatBytes } from '../../lib/units.ts';
import { safetyTag, type Dated, type PolicyPart } from './backups.ts';

/** Nothing of a target goes until somebody says that this is intended. */
export interface Stop {
  readonly target: string;
  /** The collapsed backup: the one to acknowledge. */
  readonly backupId: string;
  /** One phrase. */
  readonly reason: string;
}

/** So many backups before the newest make the usual size. */
const comparedWith = 10;

/**
 * For each kind of component of a target: has its newest backup read less than half of what the ones before it
 * did, or holds it less than half of the rows, keys or files? Then the source may have lost its data, and what is
 * old is what is needed. An acknowledged backup starts a new usual size. `backups` oldest first.
 */
export function findCollapses(target: string, backups: readonly Dated[]): Stop[] {
  const kinds = new Set(backups.flatMap(({ components }) => components.map(({ kind }) => kind)));
  return [...kinds].flatMap((kind) => {
    const having = backups
      .filter((each) => !each.tags.includes(safetyTag) && each.components.some((part) => part.kind === kind))
      .toReversed();
    const [newest, ...before] = having;
    if (newest === undefined || newest.acknowledged) return [];
    const acknowledged = before.findIndex((each) => each.acknowledged);
    const usual = (acknowledged === -1 ? before : before.slice(0, acknowledged + 1)).slice(0, comparedWith);
    const partOf = ({ components }: Dated): PolicyPart | undefined => components.find((part) => part.kind === kind);
    const fall = fallOf(
      partOf(newest),
      usual.map(partOf).filter((part) => part !== undefined),
    );
    return fall === undefined
      ? []
      : [
          {
            target,
            backupId: newest.id,
            reason: `deletion is stopped: the newest ${kind} backup, ${newest.id}, ${fall}`,
          },
        ];
  });
}

/** Why what overLimit names stays. */
export const runLimit = 'one run deletes no more; the next one goes on';

/** What may not go in this run: the newest of those that the rules let go. Both oldest first. */
export function overLimit(all: readonly Dated[], leaving: readonly Dated[], maxDelete: number | undefined): Dated[] {
  if (maxDelete !== undefined) return leaving.slice(maxDelete);
  const totals = Map.groupBy(all, ({ target }) => target);
  return [...Map.groupBy(leaving, ({ target }) => target)].flatMap(([target, going]) =>
    going.slice(Math.max(1, Math.floor((totals.get(target)?.length ?? 0) / 2))),
  );
}

function fallOf(newest: PolicyPart | undefined, usual: readonly PolicyPart[]): string | undefined {
  if (newest === undefined || usual.length === 0) return undefined;
  const bytes = median(usual.map(({ readBytes }) => readBytes));
  if (newest.readBytes * 2 < bytes) {
    return `has read ${formatBytes(newest.readBytes)}, the ones before ${formatBytes(bytes)}`;
  }
  const items = usual.map((part) => part.items).filter((count) => count !== undefined);
  const usualItems = median(items);
  if (newest.items === undefined || newest.items * 2 >= usualItems) return undefined;
  const what = newest.kind === 'redis' ? 'keys' : newest.kind === 'files' ? 'files' : 'rows';
  return `holds ${newest.items} ${what}, the ones before ${usualItems}`;
}

/** 0 of none. */
function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : Math.round(((sorted[middle - 1] ?? 0) + upper) / 2);
}
