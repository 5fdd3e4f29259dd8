/** What validate is asked and what it answers. Times, sizes and secrets: as in operation.ts. */
import type { Some } from '../complete.ts';

/**
 * How closely validate looks: presence, sizes and hashes of indexes; every stored byte; every archive decoded and read.
 */
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

/** Which backups, and how closely; by default every stored byte of the newest of each target. */
export type ValidateOptions = Some<ValidateRequest>;

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
