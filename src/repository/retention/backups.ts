/** Backups as the retention policy sees them, and their order in time. */
import type { RetentionByComponent } from '../../config/config.ts';

export type PolicyComponent = Exclude<keyof RetentionByComponent, 'walDays'>;

/** What the policy needs to know of a backup. Only backups whose seal holds are to be given. */
export interface PolicyBackup {
  readonly id: string;
  readonly target: string;
  /** When it was begun, by the clock of its host; milliseconds since 1970. */
  readonly takenMs: number;
  /** The target's newest when it was taken. */
  readonly previousId: string | undefined;
  readonly components: readonly PolicyPart[];
  readonly tags: readonly string[];
  /** A reason to keep it that people gave; empty: without words. Undefined: none. */
  readonly hold: string | undefined;
  /** A remark about it is there, but cannot be read: it may say "hold". */
  readonly unreadableNote: boolean;
  /** A drill restored it, and nothing failed since. */
  readonly proven: boolean;
  /** A check found it damaged. It then stands in for no other. */
  readonly failing: boolean;
  /** It was recorded although its source was damaged. It stands in for no other either. */
  readonly flawed: boolean;
  /** Its small size is intended. */
  readonly acknowledged: boolean;
}

/** A backup in its place in time. */
export interface Dated extends PolicyBackup {
  /** Corrected for clocks that were set back. */
  readonly takenMs: number;
  /** Dated so far ahead that its age cannot be told. */
  readonly future: boolean;
}

export interface PolicyPart {
  /** "postgres", "base", "redis", "files": sizes are compared within one kind. */
  readonly kind: string;
  /** Whose rules count. */
  readonly component: PolicyComponent;
  readonly readBytes: number;
  /** Rows, keys or files, where they are known. */
  readonly items: number | undefined;
}

/** The tag that keeps a backup for ever. */
export const keepTag = 'keep';
/** The tag of backups that are taken before something is overwritten. */
export const safetyTag = 'safety';

/** Clocks of two hosts may differ by so much. */
const clockToleranceMs = 10 * 60_000;

/**
 * Oldest first. A clock that was set back makes a backup look older than the one before it, which its
 * manifest names: it then counts as taken right after that one.
 */
export function dateAll(backups: readonly PolicyBackup[], nowMs: number): Dated[] {
  const byId = new Map(backups.map((each) => [each.id, each]));
  const known = new Map<string, number>();
  const isFuture = ({ takenMs }: PolicyBackup): boolean => takenMs > nowMs + clockToleranceMs;
  for (const backup of backups) {
    // Not recursive: a chain may have thousands of links.
    const chain: PolicyBackup[] = [];
    const seen = new Set<string>();
    for (
      let each: PolicyBackup | undefined = backup;
      each !== undefined && !known.has(each.id) && !seen.has(each.id);
      each = byId.get(each.previousId ?? '')
    ) {
      chain.push(each);
      seen.add(each.id);
    }
    for (const each of chain.toReversed()) {
      const before = byId.get(each.previousId ?? '');
      const floor =
        before === undefined || before.target !== each.target || isFuture(before) ? 0 : (known.get(before.id) ?? 0) + 1;
      known.set(each.id, Math.max(each.takenMs, floor));
    }
  }
  const dated = backups.map((each) => ({
    ...each,
    takenMs: known.get(each.id) ?? each.takenMs,
    future: isFuture(each),
  }));
  return dated.toSorted((a, b) => a.takenMs - b.takenMs || (a.id < b.id ? -1 : 1));
}
