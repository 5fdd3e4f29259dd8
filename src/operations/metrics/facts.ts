/**
 * What metrics are made of: the answer of `status`, without ids, lists of backups and words. Small, so that a daemon's
 * worker can send it and the daemon keep it; with moments in place of ages, so that it can be shown later. Pure. Times
 * in milliseconds since 1970.
 */
import type { StatusResult, StatusSchedule, StatusTarget, StatusWal } from '../status/request.ts';

export interface RepositoryFacts {
  readonly verdict: StatusResult['verdict'];
  /** Open ones by weight, and those that were acknowledged. */
  readonly reasons: Readonly<Record<'unhealthy' | 'degraded' | 'acknowledged', number>>;
  readonly targets: readonly TargetFacts[];
  readonly wal: readonly WalFacts[];
  readonly schedules: readonly ScheduleFacts[];
  readonly storage: StatusResult['storage'];
}

export interface TargetFacts {
  readonly name: string;
  readonly components: readonly {
    readonly name: string;
    /** What is known to be damaged, or is of a damaged source, is none. */
    readonly backups: number;
    /** When the newest backup was taken, and the newest that a drill has proven. */
    readonly newestMs: number | undefined;
    readonly provenMs: number | undefined;
  }[];
  /** The newest backup of each type: when it ended, and how long it took. */
  readonly newest: readonly { readonly type: string; readonly endedMs: number; readonly durationMs: number }[];
  /** When a drill has proven a backup last. */
  readonly proofMs: number | undefined;
  readonly restore: { readonly ms: number; readonly basis: string } | undefined;
  readonly analytics: Pick<
    StatusTarget['analytics'],
    'backups' | 'readBytes' | 'storedBytes' | 'ratio' | 'successes' | 'failures' | 'successRate'
  >;
}

/** Log of the cluster that a target is now. */
export interface WalFacts {
  readonly target: string;
  /** The moments that can be recovered, gaps between them included. */
  readonly beginMs: number | undefined;
  readonly endMs: number | undefined;
  readonly gaps: number;
  readonly archivedMs: number | undefined;
  /** How far the server is ahead; undefined: it was not asked. */
  readonly lagBytes: number | undefined;
  readonly isFailing: boolean | undefined;
}

export interface ScheduleFacts {
  readonly id: string;
  readonly type: string;
  /** "": of all. */
  readonly target: string;
  readonly dueMs: number | undefined;
  readonly nextMs: number | undefined;
  readonly successMs: number | undefined;
  readonly failureMs: number | undefined;
  /** The first moment that nothing has made good, and how many there are. */
  readonly missedSinceMs: number | undefined;
  readonly missed: number;
}

export function factsOf(status: StatusResult): RepositoryFacts {
  const { verdict, reasons, targets, wal, schedules, storage } = status;
  const open = reasons.filter(({ acknowledged }) => acknowledged === undefined);
  const unhealthy = open.filter(({ weight }) => weight === 'unhealthy').length;
  return {
    verdict,
    reasons: { unhealthy, degraded: open.length - unhealthy, acknowledged: reasons.length - open.length },
    targets: targets.map(ofTarget),
    wal: wal.filter(({ isCurrent }) => isCurrent).flatMap(ofWal),
    schedules: schedules.map(ofSchedule),
    storage,
  };
}

function ofTarget({ name, components, moments, newestProven, restoreTime, analytics }: StatusTarget): TargetFacts {
  const { backups, readBytes, storedBytes, ratio, successes, failures, successRate } = analytics;
  const types = [...new Set(moments.map(({ type }) => type))];
  return {
    name,
    components: components.map((component) => {
      const own = moments.filter((each) => each.components.includes(component.name) && each.isDamaged !== true);
      const proven = own.find(({ state }) => state === 'proven');
      return { name: component.name, backups: own.length, newestMs: at(own[0]?.at), provenMs: at(proven?.at) };
    }),
    newest: types.flatMap((type) => {
      const newest = moments.find((each) => each.type === type);
      if (newest === undefined) return [];
      return [{ type, endedMs: Date.parse(newest.at) + newest.durationMs, durationMs: newest.durationMs }];
    }),
    proofMs: at(newestProven?.provenAt),
    restore: restoreTime === undefined ? undefined : { ms: restoreTime.ms, basis: restoreTime.basis },
    analytics: { backups, readBytes, storedBytes, ratio, successes, failures, successRate },
  };
}

function ofWal({ targets, windows, gaps, archived, server }: StatusWal): WalFacts[] {
  return targets.map((target) => ({
    target,
    beginMs: at(windows[0]?.from),
    endMs: at(windows.at(-1)?.to),
    gaps: gaps.length,
    archivedMs: at(archived?.at),
    lagBytes: server?.behindBytes,
    isFailing: server?.isFailing,
  }));
}

function ofSchedule(schedule: StatusSchedule): ScheduleFacts {
  const { id, type, target = '', lastDue, next, succeededAt, failedAt, missed } = schedule;
  return {
    id,
    type,
    target,
    dueMs: at(lastDue),
    nextMs: at(next),
    successMs: at(succeededAt),
    failureMs: at(failedAt),
    missedSinceMs: at(missed[0]?.due),
    missed: missed.length,
  };
}

function at(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time);
}
