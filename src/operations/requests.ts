/**
 * What each operation is asked and what it answers: the seam between commands (or a program that uses
 * the library) and operations. Every operation has the shape of `Operation`; times are RFC 3339 in
 * UTC, sizes bytes. No result holds a secret, but for KeysGenerateResult, whose purpose it is.
 */
import type { LoadedConfig } from '../config/load.ts';
import type { ErrorCode } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import type { Secret } from '../lib/secret.ts';
import type { Json, Problem } from '../source/source.ts';
import type { Standing } from './states.ts';
import type { ProvenMoment } from './proven-moment.ts';
import type { WalGap, WalTimeline } from './wal-requests.ts';

export type Operation<Request, Result> = (config: LoadedConfig, request: Request, context: RunContext) => Promise<Result>;

/** What can be backed up or restored alone. */
export type ComponentName = 'database' | 'redis' | 'files' | 'base';
export type BackupType = 'full' | ComponentName;

/** Asked before something is overwritten or dropped. Rejects with LifeboatError `confirmation` (18) unless the name was given. */
export type Confirm = (question: {
  /** What must be typed, or stand in --confirm. */
  readonly name: string;
  /** What will happen, one line each. */
  readonly consequences: readonly string[];
}) => Promise<void>;

export interface BackupRequest {
  /** Undefined: the default or only one. */
  readonly target?: string | undefined;
  /** Empty: all that are configured. */
  readonly components: readonly ComponentName[];
  readonly label?: string | undefined;
  readonly tags: readonly string[];
  /** What to do while another backup of the target runs. */
  readonly ifRunning: { readonly action: 'fail' | 'skip' } | { readonly action: 'wait'; readonly waitMs: number };
  /** For the whole backup; undefined: none. */
  readonly timeoutMs?: number | undefined;
  /** Only say what would be done. */
  readonly dryRun: boolean;
}

export interface ComponentSizes {
  readonly readBytes: number;
  /** Plain bytes that were not in the repository before. */
  readonly newBytes: number;
  /** What they took there. */
  readonly storedBytes: number;
}

export interface BackedUpComponent extends ComponentSizes {
  readonly name: string;
  readonly kind: string;
  readonly serverVersion?: string | undefined;
  readonly durationMs: number;
  /** In a few words: "3 databases, 120 tables"; shown to people. */
  readonly summary?: string | undefined;
}

export type BackupResult =
  | {
      readonly outcome: 'done';
      readonly id: string;
      readonly target: string;
      readonly type: BackupType;
      readonly repository: string;
      readonly startedAt: string;
      readonly finishedAt: string;
      readonly durationMs: number;
      readonly encrypted: boolean;
      /** The backup whose chunks were used again. */
      readonly previousId?: string | undefined;
      readonly components: readonly BackedUpComponent[];
      readonly warnings: readonly string[];
    }
  /** --if-running=skip and one was running. */
  | { readonly outcome: 'skipped'; readonly target: string; readonly reason: string }
  | {
      readonly outcome: 'planned';
      readonly target: string;
      readonly type: BackupType;
      readonly repository: string;
      readonly components: readonly PlannedComponent[];
    };

export interface PlannedComponent {
  readonly name: string;
  readonly kind: string;
  readonly serverVersion?: string | undefined;
  readonly identity: Readonly<Record<string, string>>;
  readonly estimatedBytes?: number | undefined;
  readonly problems: readonly Problem[];
}

export interface RestoreRequest {
  /** Full id, unique prefix, `latest`, `latest~1`. */
  readonly id: string;
  readonly target?: string | undefined;
  /** Empty: all that are in the backup. */
  readonly only: readonly ComponentName[];
  readonly postgres: {
    /** Which databases of the backup; empty: all. */
    readonly databases: readonly string[];
    /** Name of the new database (one database only). Undefined: a name is made. */
    readonly toDatabase?: string | undefined;
    /** Server to restore into; undefined: the configured one. */
    readonly toUrl?: Secret | undefined;
    /** `schema.table` or `table`, * allowed; empty: all. */
    readonly tables: readonly string[];
    readonly content: 'all' | 'schema' | 'data';
    /** Swap with the live database once verified. */
    readonly intoLive: boolean;
    /** Replay roles and tablespaces too. */
    readonly globals: boolean;
    /** Objects belong to the restoring user; grants are left out. */
    readonly noOwner?: boolean | undefined;
    readonly noAcl?: boolean | undefined;
    /** Keep what a failed restore made, under a name that tells so. */
    readonly keepFailed?: boolean | undefined;
    /** Restore subscriptions too: they take over the production ones at the publisher. */
    readonly subscriptions?: boolean | undefined;
  };
  readonly redis: {
    readonly toUrl?: Secret | undefined;
    /** Key patterns; empty: all keys. */
    readonly keys: readonly string[];
    readonly method: 'auto' | 'replica' | 'commands' | 'file';
    /** host:port under which the target reaches this machine. */
    readonly replicaAddress?: string | undefined;
    /** Data folder of a stopped server, for `file`. */
    readonly dataDir?: string | undefined;
    readonly intoLive: boolean;
  };
  readonly files: {
    /** Sub-trees or files as they stand in the backup; empty: all. */
    readonly paths: readonly string[];
    /** Absolute. Undefined: a folder's name is made. */
    readonly toDir?: string | undefined;
    /** Back to where they were taken from. */
    readonly intoLive: boolean;
  };
  /** Take a backup of what is overwritten first. */
  readonly safetyBackup: boolean;
  /** Restore what is unsigned or untrusted; only with a full id. */
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly confirm: Confirm;
}

export interface RestoredComponent {
  readonly name: string;
  readonly kind: string;
  /** Database name, server or folder; no credentials. */
  readonly to: string;
  readonly bytes: number;
  readonly durationMs: number;
  /** `equal`: counts and fingerprints are those recorded; `partial`: what could be compared was equal. */
  readonly verified: 'equal' | 'partial' | 'not-checked';
  readonly summary?: string | undefined;
  /** Name under which the old database or folder was kept. */
  readonly kept?: string | undefined;
  /** Command that takes the restore back. */
  readonly undo?: string | undefined;
}

export type RestoreResult =
  | {
      readonly outcome: 'done';
      readonly id: string;
      readonly target: string;
      readonly startedAt: string;
      readonly durationMs: number;
      readonly components: readonly RestoredComponent[];
      readonly safetyBackupId?: string | undefined;
      readonly warnings: readonly string[];
    }
  | {
      readonly outcome: 'planned';
      readonly id: string;
      readonly target: string;
      /** What would be done, in order. */
      readonly steps: readonly { readonly component: string; readonly to: string; readonly action: string; readonly bytes: number }[];
      readonly warnings: readonly string[];
    };

/** Takes a swap back: the kept database gets its name again. */
export interface UndoRestoreRequest {
  /** The name the old database was kept under (`app_before_20260102T030405`). */
  readonly kept: string;
  readonly target?: string | undefined;
  readonly dryRun: boolean;
  readonly confirm: Confirm;
}

export interface UndoRestoreResult {
  readonly outcome: 'done' | 'planned';
  readonly database: string;
  /** Name that the restored database now has. */
  readonly setAside: string;
}

export interface ListRequest {
  /** Undefined: every target in the repository. */
  readonly target?: string | undefined;
  readonly type?: BackupType | undefined;
  readonly tag?: string | undefined;
  /** Newest so many. */
  readonly limit?: number | undefined;
}

/** `unchecked`: there is no key to check it with. */
export type Trust = 'authentic' | 'unsigned' | 'untrusted' | 'unchecked';

export interface BackupSummary extends ComponentSizes {
  readonly id: string;
  readonly target: string;
  readonly type: BackupType;
  readonly label?: string | undefined;
  /** Those added since are among them. */
  readonly tags: readonly string[];
  readonly host: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly components: readonly string[];
  readonly encrypted: boolean;
  readonly trust: Trust;
  /** How many warnings it was taken with. */
  readonly warnings: number;
  /** Kept whatever the policy says; the reason may be empty. */
  readonly hold?: { readonly since: string; readonly reason: string } | undefined;
  /** How far it has been proven; undefined where no key can tell. */
  readonly standing?: Standing | undefined;
}

export interface ListResult {
  readonly repository: string;
  /** Oldest first. */
  readonly backups: readonly BackupSummary[];
  /** Manifests that cannot be read or whose seal does not hold. */
  readonly damaged: readonly { readonly object: string; readonly reason: string }[];
}

export interface ShowRequest {
  readonly id: string;
  readonly target?: string | undefined;
}

export interface ShowResult {
  readonly repository: string;
  readonly backup: BackupSummary;
  readonly versions: Readonly<Record<string, string>>;
  readonly previousId?: string | undefined;
  readonly dataKey?: string | undefined;
  readonly components: readonly (ComponentSizes & {
    readonly name: string;
    readonly kind: string;
    readonly serverVersion?: string | undefined;
    readonly startedAt: string;
    readonly finishedAt: string;
    readonly artifacts: readonly { readonly name: string; readonly mediaType: string; readonly bytes: number; readonly chunks: number }[];
    /** Undefined without a key. */
    readonly facts?: Json | undefined;
  })[];
  /** Oldest first. */
  readonly evidence: readonly ShownEvidence[];
}

/** One piece of evidence. What it found is there only if it counts; else `reason` says why it does not. */
export interface ShownEvidence {
  readonly object: string;
  readonly at: string;
  readonly level: string;
  readonly result: 'ok' | 'failed';
  readonly reason?: string | undefined;
  readonly durationMs?: number | undefined;
  readonly bytes?: number | undefined;
  readonly counts?: Readonly<Record<string, number>> | undefined;
  readonly compared?: readonly string[] | undefined;
  readonly steps?: readonly { readonly name: string; readonly durationMs: number; readonly bytes?: number | undefined }[] | undefined;
  readonly damaged?: readonly { readonly object: string; readonly problem: string }[] | undefined;
}

/** How closely validate looks: presence, sizes and hashes of indexes; every stored byte; every archive decoded and read. */
export type ValidateLevel = 'quick' | 'stored' | 'deep';

export interface ValidateRequest {
  /** As in RestoreRequest. Empty, without `all`: the newest of each target. */
  readonly ids: readonly string[];
  readonly all: boolean;
  readonly target?: string | undefined;
  readonly level: ValidateLevel;
  /** With level `stored`: read only so many percent of the packs, others each time. */
  readonly samplePercent?: number | undefined;
}

/** `content`: the bytes are those that were stored, but what they hold is not whole. */
export type DamageKind = 'missing' | 'size' | 'damaged' | 'content';

/** One object of the repository that is not as it was written, and what it touches. */
export interface Damage {
  readonly object: string;
  readonly kind: DamageKind;
  readonly problem: string;
  readonly backups: readonly TouchedBackup[];
}

/** A backup that uses a damaged object. */
export interface TouchedBackup {
  readonly id: string;
  /** None of it can be restored. */
  readonly whole: boolean;
  /** Those that cannot be read whole; empty where a restore does without the damaged part. */
  readonly artifacts: readonly TouchedArtifact[];
}

export interface TouchedArtifact {
  readonly component: string;
  readonly name: string;
  /** Databases and tables, Redis databases, or files: the first hundred. */
  readonly contents: readonly string[];
  readonly contentCount: number;
}

export interface ValidatedBackup {
  readonly id: string;
  readonly target: string;
  /** `unchecked`: no configured key opens it. */
  readonly result: 'ok' | 'failed' | 'unchecked';
  /** The evidence that was written; undefined where nothing may be written. */
  readonly evidence?: string | undefined;
}

export interface ValidateResult {
  readonly repository: string;
  readonly level: ValidateLevel;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly backups: readonly ValidatedBackup[];
  /** What was looked at: "objects", "packs", "packsRead", "chunks", "archives". */
  readonly counts: Readonly<Record<string, number>>;
  /** Bytes read from the repository. */
  readonly bytes: number;
  /** Which share of the packs was read this time: part `part` (from 1) of `parts`. */
  readonly sample?: { readonly part: number; readonly parts: number } | undefined;
  readonly damaged: readonly Damage[];
  readonly warnings: readonly string[];
}

export interface IntegrityRequest {
  readonly target?: string | undefined;
}

/**
 * - missing, size, damaged: an object that a manifest names is not there, or not as it was written
 * - chain: a backup or audit record of the past is gone, and nothing records that it was deleted
 * - rollback: this host has seen a newer backup than there is now
 * - stray: a name that the format does not know
 * - untrusted: sealed or signed by nobody who counts
 * - differs: two objects that should be equal are not
 * - stale: the lease of a dead run
 */
export interface IntegrityFinding {
  readonly kind: 'missing' | 'size' | 'damaged' | 'content' | 'chain' | 'rollback' | 'stray' | 'untrusted' | 'differs' | 'stale';
  /** A fault makes the repository unsound; a warning wants a look. */
  readonly weight: 'fault' | 'warning';
  readonly object: string;
  readonly problem: string;
  /** Ids of backups that it touches. */
  readonly backups: readonly string[];
}

/** How many objects of each kind there are, and their bytes. */
export type CountedObjects = Readonly<Record<string, { readonly count: number; readonly bytes: number }>>;

/** The repository as a whole. */
export interface RepositoryAccount {
  readonly repository: string;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly objects: CountedObjects;
  /** Named by no manifest and older than the grace time: cleanup takes them. */
  readonly orphans: { readonly count: number; readonly bytes: number; readonly first: readonly string[] };
  /** Named by no manifest, but so young that a running backup may need them. */
  readonly young: { readonly count: number; readonly bytes: number; readonly first: readonly string[] };
  /** The first thousand of each kind, by object. */
  readonly findings: readonly IntegrityFinding[];
  /** All findings, by kind. */
  readonly counts: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}

export interface ExportRequest {
  readonly id: string;
  readonly target?: string | undefined;
  /** Absolute; must be empty or absent. */
  readonly folder: string;
  /** Empty: all. */
  readonly only: readonly ComponentName[];
  readonly force: boolean;
}

export interface ExportResult {
  readonly id: string;
  readonly folder: string;
  readonly files: readonly { readonly path: string; readonly component: string; readonly bytes: number; readonly sha256: string }[];
  readonly warnings: readonly string[];
}

export interface InitRequest {
  /** Absolute path of the file to write if there is no configuration yet; undefined: none is written, and the key must be configured. */
  readonly configPath: string | undefined;
  /** Absolute path for a new key; undefined: beside the configuration file. Unused where a key is configured. */
  readonly keyFile?: string | undefined;
  /** Put this version's rescue script into a repository that is there already, too. */
  readonly rescueScript?: boolean | undefined;
  /** Folder whose package.json gets the npm scripts; undefined: none. */
  readonly npmScriptsIn?: string | undefined;
}

export interface InitResult {
  readonly repository: string;
  readonly repositoryId: string;
  /** Paths and objects that were made; empty if all was there. */
  readonly created: readonly string[];
  readonly configPath?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly encrypted: boolean;
  /** For the recovery sheet: SHA-256 of rescue.mjs, our public key in base64. */
  readonly rescueSha256: string;
  readonly publicKey?: string | undefined;
  /** Commands and sentences, in order. */
  readonly nextSteps: readonly string[];
  readonly warnings: readonly string[];
}

export interface KeysGenerateRequest {
  readonly kind: 'raw' | 'age';
  /** Absolute path of a new 0600 file; undefined: the key is in the result. */
  readonly file?: string | undefined;
}

export interface KeysGenerateResult {
  readonly kind: 'raw' | 'age';
  /** The secret itself, if no file was named. */
  readonly key?: string | undefined;
  readonly file?: string | undefined;
  /** age only. */
  readonly recipient?: string | undefined;
}

export type KeysListRequest = Readonly<Record<string, never>>;
export type KeysRotateRequest = Readonly<Record<string, never>>;

export interface KeysListResult {
  readonly repository: string;
  /** Oldest first; the last is what is written under. */
  readonly keys: readonly {
    readonly id: string;
    readonly createdAt: string;
    /** "raw", "passphrase" or the age recipient. */
    readonly recipients: readonly string[];
    readonly opens: boolean;
    readonly current: boolean;
  }[];
  readonly warnings: readonly string[];
}

/** Wraps every data key that opens for one more reader. */
export interface KeysAddRequest {
  readonly add: { readonly type: 'age'; readonly recipient: string } | { readonly type: 'key' | 'passphrase'; readonly secret: Secret };
}

export interface KeysRemoveRequest {
  /** "raw", "passphrase" or an age recipient. */
  readonly recipient: string;
  readonly confirm: Confirm;
}

export interface KeysChangeResult {
  readonly changed: readonly string[];
  /** Data keys that could not be opened, hence not changed. */
  readonly unchanged: readonly string[];
  /** The data key that is written under from now on. */
  readonly current?: string | undefined;
  readonly warnings: readonly string[];
}

export interface DoctorCheck {
  readonly name: string;
  readonly ok: 'ok' | 'warn' | 'fail';
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string | undefined;
  /** Decides the exit code of a failed check; default: usage (2). */
  readonly code?: ErrorCode | undefined;
}

export interface DoctorRequest {
  /** Undefined: every target. */
  readonly target?: string | undefined;
}

export interface DoctorResult {
  readonly checks: readonly DoctorCheck[];
}

export interface UnlockRequest {
  /** Lease scope such as backup-main; undefined: all. */
  readonly scope?: string | undefined;
  /** Break leases that may be alive too; asks for confirmation. */
  readonly alive: boolean;
  readonly confirm: Confirm;
}

export interface Lease {
  readonly scope: string;
  readonly id: string;
  readonly command: string;
  readonly host: string;
  readonly pid: number;
  readonly user: string;
  readonly since: string;
  readonly stale: boolean;
}

export interface UnlockResult {
  readonly broken: readonly Lease[];
  /** Still held. */
  readonly alive: readonly Lease[];
}

export interface CleanupRequest {
  /** Undefined: every configured target. */
  readonly target?: string | undefined;
  /** Only say what would be deleted; nothing is written. */
  readonly dryRun: boolean;
  /** The most backups that this run may delete; undefined: half of each target's. */
  readonly maxDelete?: number | undefined;
  /** How long deleted backups can be taken back, in milliseconds; undefined: as configured (trashHours). At least one hour. */
  readonly graceMs?: number | undefined;
  /** Backups whose small size is meant to be. */
  readonly acknowledge: readonly string[];
}

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

export interface ReleaseRequest {
  readonly id: string;
  readonly target?: string | undefined;
  /** To take off. */
  readonly tags: readonly string[];
}

export interface HoldResult {
  readonly id: string;
  readonly target: string;
  readonly held: boolean;
  readonly reason?: string | undefined;
  readonly tags: readonly string[];
  readonly warnings: readonly string[];
}

/** A drill: backups restored into throwaway servers and compared with what they recorded. */
export interface DrillRequest {
  /** As in RestoreRequest. Empty: the newest of each target; with `pitr` any base backup of each. */
  readonly ids: readonly string[];
  readonly target?: string | undefined;
  /** Recover PostgreSQL to a random moment instead, and prove that it is that one. */
  readonly pitr?: boolean | undefined;
  /** With `pitr`: the same seed chooses the same moment of the same window. */
  readonly seed?: string | undefined;
}

export interface DrilledComponent {
  readonly name: string;
  readonly kind: string;
  /** `impossible`: it could not be tried (a tool, an extension or space is missing); says nothing of the backup. */
  readonly result: 'equal' | 'failed' | 'impossible';
  readonly durationMs: number;
  /** Read from the repository. */
  readonly bytes: number;
  readonly steps: readonly { readonly name: string; readonly durationMs: number }[];
  readonly counts: Readonly<Record<string, number>>;
  /** Versions of the throwaway servers. */
  readonly versions: Readonly<Record<string, string>>;
  /** In a few words; shown to people. */
  readonly summary?: string | undefined;
  /** What differs, or why it was not possible; tables, keys and files by name. */
  readonly problems: readonly string[];
  /** Of the first problem. */
  readonly code?: ErrorCode | undefined;
  readonly hint?: string | undefined;
  /** What is not as it was, but none of the backup's faults. */
  readonly notes: readonly string[];
}

export interface DrilledBackup {
  readonly id: string;
  readonly target: string;
  readonly result: 'proven' | 'failed' | 'impossible';
  readonly durationMs: number;
  /** What restoring took, without the comparisons: the measured restore time. */
  readonly restoreMs: number;
  readonly components: readonly DrilledComponent[];
  /** With `pitr`: the moment that was recovered to, and the seed that chose it. */
  readonly moment?: string | undefined;
  readonly seed?: string | undefined;
  /** The evidence that was written; undefined where nothing could be tried or may be written. */
  readonly evidence?: string | undefined;
}

export interface DrillResult {
  readonly repository: string;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly backups: readonly DrilledBackup[];
  readonly warnings: readonly string[];
}

export interface StatusRequest {
  /** Undefined: every target that is configured or in the repository. */
  readonly target?: string | undefined;
  /** Each configured component's newest backup must be younger; undefined: as configured. */
  readonly maxAgeMs?: number | undefined;
  /** How far back failures and averages go. */
  readonly days: number;
}

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

export interface RestoreEstimate {
  readonly ms: number;
  /** `measured`: by a drill. */
  readonly basis: 'measured' | 'assumed';
  readonly ofBackup?: string | undefined;
  readonly measuredAt?: string | undefined;
  /** As measured: what the parts of that restore took. */
  readonly steps?: readonly { readonly name: string; readonly durationMs: number }[] | undefined;
  readonly assumption?: string | undefined;
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
  readonly newest?: { readonly id: string; readonly takenAt: string; readonly ageMs: number; readonly state?: string | undefined; readonly standing?: Standing | undefined } | undefined;
  readonly newestProven?: { readonly id: string; readonly provenAt: string } | undefined;
  /** The recovery to a moment that a drill has proven last. */
  readonly provenMoment?: ProvenMoment | undefined;
  readonly restoreTime?: RestoreEstimate | undefined;
  /** What can be restored, newest first. */
  readonly moments: readonly { readonly id: string; readonly at: string; readonly components: readonly string[]; readonly state?: string | undefined; readonly isDamaged?: boolean | undefined }[];
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
  readonly storage: {
    readonly storedBytes: number;
    readonly freeBytes?: number | undefined;
    readonly capacityBytes?: number | undefined;
    readonly budgetBytes?: number | undefined;
    /** All packs that backups use, and at most how much of them no backup needs; undefined where that cannot be told in passing. */
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

export interface AcknowledgeResult {
  readonly warning: string;
  readonly message: string;
  readonly reason: string;
}
