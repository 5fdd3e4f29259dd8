/**
 * What cleanup, undelete, hold and release are asked and what they answer. Times, sizes and secrets: as in
 * operation.ts.
 */
import type { BackupType } from '../operation.ts';
import type { Some } from '../complete.ts';

export interface CleanupRequest {
  /** Undefined: every configured target. */
  readonly target?: string | undefined;
  /** Only say what would be deleted; nothing is written. */
  readonly dryRun: boolean;
  /** The most backups that this run may delete; undefined: half of each target's. */
  readonly maxDelete?: number | undefined;
  /**
   * How long deleted backups can be taken back, in milliseconds; undefined: as configured (trashHours). At least one
   * hour.
   */
  readonly graceMs?: number | undefined;
  /** Backups whose small size is intended. */
  readonly acknowledge: readonly string[];
  /** Full ids of backups in trash that nothing says we moved there, or "all": they are to be deleted. */
  readonly adoptTrash: readonly string[];
}

/** What to delete by the retention policy; `{}` deletes, `{ dryRun: true }` tells. */
export type CleanupOptions = Some<CleanupRequest>;

/** What a cleanup means for one cluster's write-ahead log. */
export interface CleanupWal {
  /** System identifier, decimal. */
  readonly systemId: string;
  /** Whose base backups can replay it. */
  readonly targets: readonly string[];
  /** The earliest moment that can be recovered, before and after, RFC 3339; undefined: none. */
  readonly from?: string | undefined;
  readonly becomes?: string | undefined;
  /** What goes now; the bytes also stand in `freed`. */
  readonly segments: number;
  readonly bytes: number;
  /** What goes when the base backups in trash are gone for good. */
  readonly laterSegments: number;
  readonly laterBytes: number;
  /** Why all of it stays. */
  readonly stays?: string | undefined;
}

export interface CleanupResult {
  readonly outcome: 'done' | 'planned';
  readonly repository: string;
  readonly graceMs: number;
  /** Oldest first. Those that are not kept are in trash now (or would be). */
  readonly backups: readonly {
    readonly id: string;
    readonly target: string;
    readonly type: BackupType;
    readonly startedAt: string;
    readonly keep: boolean;
    readonly reasons: readonly string[];
    /** Bytes of packs that no other backup needs; of those that go. */
    readonly bytes?: number | undefined;
  }[];
  /** Gone for good: their grace time had passed. */
  readonly deleted: readonly { readonly id: string; readonly seal: string }[];
  /** What nobody needed any more. */
  readonly freed: { readonly packs: number; readonly bytes: number };
  /** What will be freed when all that is in trash has passed its grace time. */
  readonly laterBytes: number;
  /** What nobody needs, but object lock retains; `until` is absent under a legal hold. */
  readonly retained: readonly { readonly object: string; readonly until?: string | undefined }[];
  /** Write-ahead log, by cluster. */
  readonly wal: readonly CleanupWal[];
  /** Backups under a delete marker that lifeboat did not set: all that they need stays. */
  readonly hidden: readonly { readonly id: string; readonly hiddenAt: string }[];
  /** Why no space was freed. */
  readonly stopped?: string | undefined;
  readonly warnings: readonly string[];
}

export interface UndeleteRequest {
  /** Full id or unique prefix. */
  readonly id: string;
  readonly target?: string | undefined;
  /** Put it on hold, or the next cleanup deletes it again. */
  readonly hold: boolean;
}

/** Which deleted backup to take back; by default it is put on hold, or the next cleanup would delete it again. */
export type UndeleteOptions = Some<UndeleteRequest> & Pick<UndeleteRequest, 'id'>;

export interface UndeleteResult {
  readonly id: string;
  readonly target: string;
  readonly held: boolean;
  readonly warnings: readonly string[];
}

export interface HoldRequest {
  readonly id: string;
  readonly target?: string | undefined;
  /** Anybody who reads the repository can read it. */
  readonly reason?: string | undefined;
  /** To add. */
  readonly tags: readonly string[];
}

/** Which backup to keep, why, and tags to add. */
export type HoldOptions = Some<HoldRequest> & Pick<HoldRequest, 'id'>;

export interface ReleaseRequest {
  readonly id: string;
  readonly target?: string | undefined;
  /** To take off. */
  readonly tags: readonly string[];
}

/** Which backup to let go, and tags to take off. */
export type ReleaseOptions = Some<ReleaseRequest> & Pick<ReleaseRequest, 'id'>;

export interface HoldResult {
  readonly id: string;
  readonly target: string;
  readonly held: boolean;
  readonly reason?: string | undefined;
  readonly tags: readonly string[];
  readonly warnings: readonly string[];
}
