/** What integrity and its drills are asked and what they answer. Times, sizes and secrets: as in requests.ts. */
import type { ErrorCode } from '../../lib/errors.ts';
import type { Some } from '../complete.ts';

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
  readonly kind:
    | 'missing'
    | 'size'
    | 'damaged'
    | 'content'
    | 'chain'
    | 'rollback'
    | 'stray'
    | 'untrusted'
    | 'differs'
    | 'stale';
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

/** Which backups to restore into throwaway servers; by default the newest of each target. */
export type DrillOptions = Some<DrillRequest>;

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
