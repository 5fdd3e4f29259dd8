/** What metrics is asked and what it answers. */
import type { Some } from '../complete.ts';
import type { Family } from './family.ts';

export interface MetricsRequest {
  /** Absolute path of a file to write them to; undefined: none. */
  readonly textfile?: string | undefined;
  /** Send them where the configuration says. */
  readonly push: boolean;
}

/** By default they are only the answer. */
export type MetricsOptions = Some<MetricsRequest>;

export interface MetricsResult {
  /** RFC 3339. */
  readonly at: string;
  /** False: the repository could not be looked at, `failure` says why, and nothing of it is shown. */
  readonly isUp: boolean;
  readonly failure?: { readonly code: string; readonly message: string } | undefined;
  readonly metrics: readonly Family[];
  /** What they were written or sent to. */
  readonly told: readonly string[];
}
