/** What a recovery to a moment is asked and what it answers. Times RFC 3339 in UTC, sizes bytes. */
import type { Secret } from '../../lib/secret.ts';
import type { Confirm } from '../operation.ts';
import type { RestoredComponent, RestorePartOptions, RestoreRequest } from '../restore/request.ts';
import type { Some } from '../complete.ts';

/** standby: what a request with `standby` does; it is asked for by that. */
export type PitrAction = 'pause' | 'promote' | 'shutdown' | 'standby';

/** A replica of a running primary. */
export interface PitrStandby {
  /** Of the primary, for its own connection; default: the target's server. */
  readonly primaryUrl?: Secret | undefined;
  /** Physical replication slot, made on the primary if it is not there; undefined: none. */
  readonly slot?: string | undefined;
}

export interface PitrRequest {
  /** As typed: a time with zone, lsn:, xid:, name:, latest, immediate. */
  readonly to: string;
  readonly target?: string | undefined;
  /** Undefined: the newest that comes from the base backup's. */
  readonly timeline?: number | undefined;
  /** Stop behind the target (default) or directly before it. */
  readonly inclusive: boolean;
  /**
   * Absolute; must be absent or empty. Undefined only for plans, and with intoDatabase: then the recovered cluster is a
   * throwaway one.
   */
  readonly dataDir?: string | undefined;
  /** Old path or name of a tablespace → new path, absolute. Others go to `<dataDir>-tablespaces/<oid>`. */
  readonly tablespaceMap?: Readonly<Record<string, string>> | undefined;
  /**
   * pause: left at the target, read-only, on a private socket; promote: left running there; shutdown: promoted and shut
   * down, ready to be started.
   */
  readonly action: PitrAction;
  /** Read and checked where the base backup is consistent, then left as a standby; `to` must be "immediate". */
  readonly standby?: PitrStandby | undefined;
  /** Open every segment that will be needed, and change nothing. */
  readonly check: boolean;
  readonly dryRun: boolean;
  /**
   * Copy databases (empty: all but postgres), or tables of them, from the recovered cluster into a live server.
   * `content` must be `all`.
   */
  readonly intoDatabase?: RestoreRequest['postgres'] | undefined;
  /** Restore these too, from their newest backups before the moment: they have no log. */
  readonly with?: readonly PitrOther[] | undefined;
  /** Where and how; default: their own places, if those are free. */
  readonly others?: Pick<RestoreRequest, 'redis' | 'files'> | undefined;
  /** Take a backup of what is replaced first; default true. */
  readonly safetyBackup?: boolean | undefined;
  /** Asked before anything is replaced; default: that is refused. */
  readonly confirm?: Confirm | undefined;
}

/** To which moment; folders may be relative. Default: behind the moment, promoted and shut down. */
export type PitrOptions = Some<Omit<PitrRequest, 'intoDatabase' | 'others'>> &
  Pick<PitrRequest, 'to'> & {
    readonly intoDatabase?: RestorePartOptions['postgres'];
    readonly others?: Pick<RestorePartOptions, 'redis' | 'files'> | undefined;
  };

export const pitrDefaults = {
  inclusive: true,
  action: 'shutdown',
  check: false,
  dryRun: false,
} as const satisfies Some<PitrRequest>;

export type PitrOther = 'redis' | 'files';

/** A part of the plan that is carried out when the cluster is recovered. */
export interface PitrStep {
  readonly component: string;
  readonly to: string;
  readonly action: string;
}

/** A component without a log, and how near to the moment it comes. */
export interface PitrOtherPlanned {
  readonly component: PitrOther;
  /** Of its newest backup before the moment. */
  readonly id: string;
  /** When that was begun. */
  readonly at: string;
  /** From then to the moment: what was written in between is not in it. */
  readonly distanceMs: number;
  readonly steps: readonly PitrStep[];
}

/** Parts that both recoveries and restores in their place have. */
interface PitrMore {
  /** What is copied into a live server. */
  readonly copies?: readonly PitrStep[] | undefined;
  readonly others?: readonly PitrOtherPlanned[] | undefined;
}

/** What was made beside or after the recovery. */
interface PitrMade {
  /** Copied from the recovered cluster, compared with it. */
  readonly copied?: readonly RestoredComponent[] | undefined;
  readonly restored?: readonly RestoredComponent[] | undefined;
  readonly safetyBackupId?: string | undefined;
}

/** What pg_amcheck found; damage is an error, not a result. */
export interface StructureCheck {
  readonly outcome: 'clean' | 'partly' | 'not-checked';
  /** Those that were checked. */
  readonly databases: readonly string[];
  /** Why others were not. */
  readonly notes: readonly string[];
}

export interface PitrPlanned extends PitrMore {
  /** Of the base backup. */
  readonly id: string;
  readonly target: string;
  readonly to: string;
  readonly systemIdentifier: string;
  readonly serverVersion: string;
  readonly timeline: number;
  /** When the base backup was complete. */
  readonly baseAt: string;
  readonly baseBytes: number;
  /** WAL files to replay at most. */
  readonly segments: { readonly count: number; readonly first: string; readonly last: string; readonly bytes: number };
  /** Moments that can be recovered from this base backup on; `to`: the last archived commit. */
  readonly window: { readonly from: string; readonly to?: string | undefined };
  /** About. */
  readonly estimatedMs: number;
  readonly dataDir?: string | undefined;
  /** Those outside of the data directory; `to` where a place for them is known. */
  readonly tablespaces: readonly {
    readonly name: string;
    readonly from: string;
    readonly bytes: number;
    readonly to?: string | undefined;
  }[];
}

export type PitrRecovered = PitrPlanned &
  PitrMade & {
    readonly outcome: 'done';
    readonly action: PitrAction;
    /** In the words of the server: where it stopped. */
    readonly stopped: string;
    /** The log was replayed up to here. */
    readonly lsn: string;
    /** Of the last transaction in the recovered cluster; undefined: none after the base backup. */
    readonly lastCommitAt?: string | undefined;
    /** Databases of which every table was read. */
    readonly databases: readonly string[];
    readonly structure: StructureCheck;
    readonly segmentsReplayed: number;
    readonly durationMs: number;
    /** Of the server, where it was left running. */
    readonly url?: string | undefined;
    readonly pid?: number | undefined;
    readonly nextSteps: readonly string[];
    readonly warnings: readonly string[];
  };

/** Without a base backup and its log: the newest logical backup before the moment, and what that costs. */
export interface PitrFallback extends PitrMore {
  /** Of the logical backup. */
  readonly id: string;
  readonly target: string;
  readonly to: string;
  /** Why the moment itself cannot be reached. */
  readonly reason: string;
  /** The moment that the backup holds. */
  readonly at: string;
  /** From there to the wanted moment: what was written in between is lost. */
  readonly lostMs: number;
  readonly dataDir?: string | undefined;
}

export type PitrResult =
  | (PitrPlanned & {
      readonly outcome: 'planned';
      /** How many segments were opened. */ readonly checked?: number | undefined;
      readonly warnings: readonly string[];
    })
  | PitrRecovered
  | (PitrFallback & { readonly outcome: 'fallback-planned'; readonly warnings: readonly string[] })
  | (PitrFallback &
      PitrMade & {
        readonly outcome: 'fallback';
        readonly durationMs: number;
        readonly url?: string | undefined;
        readonly pid?: number | undefined;
        readonly nextSteps: readonly string[];
        readonly warnings: readonly string[];
      });

export interface RestorePointRequest {
  readonly name: string;
  readonly target?: string | undefined;
}

export interface RestorePointResult {
  readonly name: string;
  readonly target: string;
  readonly lsn: string;
  readonly at: string;
  readonly warnings: readonly string[];
}
