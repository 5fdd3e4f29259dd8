/** What status and acknowledge are asked and what they answer. Times, sizes and secrets: as in operation.ts. */
import type { ProvenMoment } from '../proof/proven-moment.ts';
import type { ProofState } from '../proof/state.ts';
import type { DamagedLog, WalGap, WalTimeline } from '../wal/request.ts';
import type { Some } from '../complete.ts';

export interface StatusRequest {
  /** Undefined: every target that is configured or in the repository. */
  readonly target?: string | undefined;
  /** Each configured component's newest backup must be younger; undefined: as configured. */
  readonly maxAgeMs?: number | undefined;
  /** How far back failures and averages go. */
  readonly days: number;
  /** Tell by the notification channels what is new, and what is over. */
  readonly notify?: boolean | undefined;
}

/** How strictly, and how far back; by default all targets, as configured. */
export type StatusOptions = Some<StatusRequest>;

/** A month: also for acknowledge(), which must see what status has shown. */
export const statusDefaults = { days: 30 } as const satisfies StatusOptions;

export interface StatusReason {
  /** Stable: for `acknowledge`, and to tell whether a warning is new. */
  readonly id: string;
  readonly weight: 'degraded' | 'unhealthy';
  readonly target?: string | undefined;
  readonly message: string;
  /** The command to run next. */
  readonly next: string;
  /** It is meant to be, and does not count. */
  readonly acknowledged?: { readonly at: string; readonly by: string; readonly reason: string } | undefined;
}

/** Work that holds a lease in the repository. */
export interface StatusRunning {
  readonly scope: string;
  readonly command: string;
  readonly host: string;
  readonly user: string;
  readonly since: string;
  readonly isAlive: boolean;
}

/** A schedule as the repository has it in force, and its latest moments. */
export interface StatusSchedule {
  /** Undefined: of all. */
  readonly target?: string | undefined;
  readonly id: string;
  readonly name: string;
  readonly type: string;
  /** Who has published it. */
  readonly host: string;
  readonly cronExpression: string;
  readonly timezone: string;
  /** The latest moment that was run, or is meant to be left out, of the last ten. */
  readonly lastRun?: string | undefined;
  readonly next?: string | undefined;
  /** The latest moment, run or not. */
  readonly lastDue?: string | undefined;
  /** When a run of the last ten moments ended well last, and when one did not. */
  readonly succeededAt?: string | undefined;
  readonly failedAt?: string | undefined;
  /** Moments since then whose time of grace is over, the earliest first; without an outcome: never run. */
  readonly missed: readonly {
    readonly due: string;
    readonly outcome?: string | undefined;
    readonly code?: string | undefined;
  }[];
  readonly isRunning: boolean;
}

export interface RestoreEstimate {
  readonly ms: number;
  /** `measured`: by a drill. */
  readonly basis: 'measured' | 'assumed';
  readonly ofBackup?: string | undefined;
  readonly measuredAt?: string | undefined;
  /** As measured: what the parts of that restore took. */
  readonly steps?: readonly { readonly name: string; readonly durationMs: number }[] | undefined;
  readonly assumption?: string | undefined;
  /** Of the drill that measured it: "namespaces", "user", "none"; undefined: it had no throwaway server of ours. */
  readonly isolation?: string | undefined;
}

export interface StatusAnalytics {
  readonly days: number;
  readonly successes: number;
  /** Those that this host knows of. */
  readonly failures: number;
  /** 0 to 1; undefined without a run. */
  readonly successRate?: number | undefined;
  readonly averageReadBytes?: number | undefined;
  readonly averageStoredBytes?: number | undefined;
  readonly averageDurationMs?: number | undefined;
  /** All that are there, however old. */
  readonly backups: number;
  readonly readBytes: number;
  readonly storedBytes: number;
  /** Bytes protected for each byte stored. */
  readonly ratio?: number | undefined;
}

export interface StatusComponent {
  readonly name: string;
  readonly newestId?: string | undefined;
  readonly takenAt?: string | undefined;
  readonly ageMs?: number | undefined;
  /** Names of the schedules that are to back it up; undefined: there is none. */
  readonly schedules?: readonly string[] | undefined;
  /** When one of them should have begun last (an hour ago or earlier), and when one will next. */
  readonly dueAt?: string | undefined;
  readonly nextAt?: string | undefined;
}

/** The archived write-ahead log of one cluster. */
export interface StatusWal {
  /** System identifier, decimal. */
  readonly systemId: string;
  /** As far as base backups or servers tell. */
  readonly targets: readonly string[];
  /** It is expected to go on; false: another cluster has taken its place. */
  readonly isCurrent: boolean;
  /** Base backups to replay it from. */
  readonly bases: number;
  /** Moments that can be recovered, oldest first; `to` is when the last of the log was archived. */
  readonly windows: readonly { readonly from: string; readonly to: string }[];
  readonly timelines: readonly WalTimeline[];
  readonly gaps: readonly WalGap[];
  readonly missingHistories: readonly string[];
  readonly damaged: readonly DamagedLog[];
  /** How far the archive reaches, and since when. */
  readonly archived?: { readonly lsn: string; readonly at: string } | undefined;
  /** Undefined: the server does not answer, or is not configured here. */
  readonly server?:
    | {
        readonly currentLsn: string;
        readonly archiveMode: string;
        readonly failures: number;
        readonly lastFailed?: string | undefined;
        readonly lastFailedAt?: string | undefined;
        readonly isFailing: boolean;
        readonly behindBytes: number;
        readonly behindSegments: number;
      }
    | undefined;
  /** Why nothing more can be told. */
  readonly problem?: string | undefined;
}

export interface StatusTarget {
  readonly name: string;
  /** The configured ones. */
  readonly components: readonly StatusComponent[];
  readonly newest?:
    | {
        readonly id: string;
        readonly takenAt: string;
        readonly ageMs: number;
        readonly state?: string | undefined;
        readonly standing?: ProofState | undefined;
      }
    | undefined;
  readonly newestProven?: { readonly id: string; readonly provenAt: string } | undefined;
  /** The recovery to a moment that a drill has proven last. */
  readonly provenMoment?: ProvenMoment | undefined;
  readonly restoreTime?: RestoreEstimate | undefined;
  /** What can be restored, newest first. */
  readonly moments: readonly {
    readonly id: string;
    readonly at: string;
    /** As the backup was asked for: "full" or one component. */
    readonly type: string;
    readonly durationMs: number;
    readonly components: readonly string[];
    readonly state?: string | undefined;
    readonly isDamaged?: boolean | undefined;
  }[];
  readonly analytics: StatusAnalytics;
}

export interface StatusResult {
  readonly repository: string;
  readonly at: string;
  readonly verdict: 'healthy' | 'degraded' | 'unhealthy';
  /** Unhealthy first. */
  readonly reasons: readonly StatusReason[];
  readonly next?: string | undefined;
  readonly targets: readonly StatusTarget[];
  /** By cluster; empty without archived log. */
  readonly wal: readonly StatusWal[];
  readonly running: readonly StatusRunning[];
  /** Those that are in force in the repository, of whichever host. */
  readonly schedules: readonly StatusSchedule[];
  readonly storage: {
    readonly storedBytes: number;
    readonly freeBytes?: number | undefined;
    readonly capacityBytes?: number | undefined;
    readonly budgetBytes?: number | undefined;
    /**
     * All packs that backups use, and at most how much of them no backup needs; undefined where that cannot be told in
     * passing.
     */
    readonly packBytes?: number | undefined;
    readonly deadBytes?: number | undefined;
  };
}

export interface AcknowledgeRequest {
  /** The id of a reason that status gives. */
  readonly warning: string;
  readonly reason?: string | undefined;
  /** As in the status that showed it. */
  readonly days: number;
}

/** Which warning is meant to be; its id is in the result of status(). */
export type AcknowledgeOptions = Some<AcknowledgeRequest> & Pick<AcknowledgeRequest, 'warning'>;

export interface AcknowledgeResult {
  readonly warning: string;
  readonly message: string;
  readonly reason: string;
}
