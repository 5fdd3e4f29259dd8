/** What a check of archived log is asked and what it answers. */
import type { Share } from '../../../lib/rotation.ts';
import type { KnownBase } from '../bases.ts';

/** `quick`: sizes; `stored`: every byte with its tag; `deep`: pages and records too. */
export type LogLevel = 'quick' | 'stored' | 'deep';

/** As DamageKind of validate. */
export type LogFaultKind = 'missing' | 'size' | 'damaged' | 'content';

export interface LogCheckRequest {
  readonly level: LogLevel;
  /** All log, or that of these base backups from their beginning on. */
  readonly of: 'all' | readonly KnownBase[];
  /** Which base backups there are, oldest first: of them it is said what a fault means. */
  readonly bases: readonly KnownBase[];
  /** Only so much of it is read; presence is told of all. */
  readonly share?: Share | undefined;
  /** Objects that are read side by side. */
  readonly jobs: number;
}

export interface LogFault {
  readonly object: string;
  readonly kind: LogFaultKind;
  readonly problem: string;
  /** Base backups that cannot be recovered at all without it. */
  readonly backups: readonly string[];
  /** No base backup needs it: it lies before the oldest, or there is none. */
  readonly isIdle: boolean;
}

export interface LogCheck {
  /** Files that were looked at, and their bytes in the storage as far as they were read. */
  readonly files: number;
  readonly bytes: number;
  /** By object. */
  readonly faults: readonly LogFault[];
  /** Files that count for nobody, or that no key opens: the first, and how many. */
  readonly doubts: { readonly count: number; readonly first: string | undefined };
  /** What could not be looked at, in whole sentences. */
  readonly notes: readonly string[];
}
