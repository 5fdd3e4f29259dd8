/**
 * What each operation is asked and what it answers: the seam between commands (or a program that uses
 * the library) and operations. Every operation has the shape of `Operation`; times are RFC 3339 in
 * UTC, sizes bytes. No result holds a secret, but for KeysGenerateResult, whose purpose it is.
 */
import type { LoadedConfig } from '../config/load.ts';
import type { RunContext } from '../lib/events.ts';

export type Operation<Request, Result> = (
  config: LoadedConfig,
  request: Request,
  context: RunContext,
) => Promise<Result>;

/** What can be backed up or restored alone. */
export type ComponentName = 'database' | 'redis' | 'files' | 'base';

export type BackupType = 'full' | ComponentName;

/**
 * Asked before something is overwritten or dropped. Rejects with LifeboatError `confirmation` (18) unless the name was
 * given.
 */
export type Confirm = (question: {
  /** What must be typed, or stand in --confirm. */
  readonly name: string;
  /** What will happen, one line each. */
  readonly consequences: readonly string[];
}) => Promise<void>;
