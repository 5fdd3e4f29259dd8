/** What integrity is asked and what it answers. Times, sizes and secrets: as in operation.ts. */
import type { Some } from '../complete.ts';
import type { Share } from '../../lib/rotation.ts';

export interface IntegrityRequest {
  readonly target?: string | undefined;
  /** So many percent of the archived log are read; others each time, until all has been. */
  readonly logPercent: number;
}

/** What to account for; by default a seventh of the log is read, so that a week of nights reads all of it. */
export type IntegrityOptions = Some<IntegrityRequest>;

/**
 * - missing, size, damaged: an object that a manifest names is not there, or not as it was written
 * - chain: a backup or audit record of the past is gone, and nothing records that it was deleted
 * - rollback: this host has seen a newer backup than there is now
 * - hidden: a backup under a delete marker, or in trash, that lifeboat did not put there
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
    | 'hidden'
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
  /** What of the archived write-ahead log was read, tags and all; which part of how many. */
  readonly log: Share & { readonly files: number; readonly bytes: number };
  /** The first thousand of each kind, by object. */
  readonly findings: readonly IntegrityFinding[];
  /** All findings, by kind. */
  readonly counts: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}
