/**
 * What operations tell while they run. Operations emit; the terminal, the log and notifications
 * listen. An event never carries a secret.
 */

export type LifeboatEvent =
  /** A step began; one plain line for an operator. */
  | { readonly type: 'step'; readonly component?: string; readonly message: string }
  /** Done, but not as it should be: the run ends with exit code 3. */
  | { readonly type: 'warning'; readonly component?: string; readonly message: string }
  /** Something a debug log wants. */
  | { readonly type: 'debug'; readonly component?: string; readonly message: string }
  /**
   * Totals of one component so far, in bytes; `totalBytes` is an estimate. `newBytes`: plain bytes that were not in the
   * repository; `storedBytes`: what they took there.
   */
  | {
      readonly type: 'progress';
      readonly component: string;
      readonly readBytes: number;
      readonly newBytes: number;
      readonly storedBytes: number;
      readonly totalBytes?: number;
    }
  /** The exported PostgreSQL snapshot that a logical backup reads; usable by others until 'snapshot-end'. */
  | { readonly type: 'snapshot'; readonly component: string; readonly database: string; readonly snapshot: string }
  | { readonly type: 'snapshot-end'; readonly component: string; readonly database: string; readonly snapshot: string }
  /** A stored artifact is complete (not yet published). Sizes in bytes. */
  | {
      readonly type: 'artifact';
      readonly component: string;
      readonly name: string;
      readonly bytes: number;
      readonly storedBytes: number;
    }
  /** A time span that is measured and reported, e.g. name "verify". */
  | { readonly type: 'timing'; readonly component?: string; readonly name: string; readonly seconds: number };

export type EventSink = (event: LifeboatEvent) => void;

/** What every long operation is given: when to stop, and where to tell. */
export interface RunContext {
  /** Aborted with an AbortedError, or with the LifeboatError that ends the run. */
  readonly signal: AbortSignal;
  readonly emit: EventSink;
}
