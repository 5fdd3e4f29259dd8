/** What a place for units or lines can do: a folder of files (install-folder.ts), or a crontab (install-crontab.ts). */
import { LifeboatError } from '../../lib/errors.ts';
import type { PrintedFile } from './request.ts';

/** What is to become of one file or crontab. */
export interface PlacedChange {
  /** Of the file; or `crontab of <user>`. */
  readonly path: string;
  /** Undefined: it is not there. */
  readonly before: string | undefined;
  /** Undefined: it goes. */
  readonly after: string | undefined;
}

export interface Place {
  /**
   * What differs from `wanted`, what is ours and not wanted any more included; in the order it is to be done. Throws
   * LifeboatError `usage` where what is not ours is in the way. Touches nothing.
   */
  plan(wanted: readonly PrintedFile[]): Promise<readonly PlacedChange[]>;
  /** Does one, whole or not at all. Throws LifeboatError `usage` where somebody has changed it since. */
  apply(change: PlacedChange): Promise<void>;
}

export function changedMeanwhile(path: string): LifeboatError {
  return new LifeboatError('usage', `cannot change ${path}: somebody else has just done so`, {
    hint: 'run it again',
    retryable: true,
  });
}
