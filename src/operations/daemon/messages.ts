/**
 * What a daemon and its workers say to each other: one JSON document a line. The daemon's order comes on the worker's
 * standard input, which stays open as long as the daemon lives; what the worker tells goes to its standard output.
 */
import type { LifeboatEvent } from '../../lib/events.ts';
import type { RepositoryFacts } from '../metrics/facts.ts';
import type { RanSlot } from '../schedule/request.ts';

/** What a worker is to do. */
export type WorkerTask =
  /** One attempt at the slots of a schedule that are due. */
  | { readonly kind: 'job'; readonly schedule: string }
  /** Write down what became of a slot whose worker could not. Times RFC 3339. */
  | {
      readonly kind: 'death';
      readonly schedule: string;
      readonly due: string;
      readonly attempt: number;
      readonly startedAt: string;
      readonly outcome: 'failed' | 'hung' | 'aborted';
      readonly message: string;
    }
  /** Send what waits to be told. */
  | { readonly kind: 'notify' }
  /** Publish the schedules, withdraw those of these ids that are there no more, and tell how the repository is. */
  | { readonly kind: 'survey'; readonly gone: readonly string[] };

/** With the very configuration that the daemon goes by, whatever the files hold meanwhile. */
export interface WorkerOrder {
  readonly task: WorkerTask;
  /** Absolute path of the configuration file; absent: there is none. */
  readonly file?: string | undefined;
  /** As `--env-file` gave it. */
  readonly envFile?: string | undefined;
  /** LoadOptions.texts */
  readonly texts: readonly (readonly [path: string, text: string])[];
}

export type WorkerMessage =
  | { readonly type: 'event'; readonly event: LifeboatEvent }
  /** The worker's loop turns; what its components have moved so far. */
  | { readonly type: 'alive'; readonly movedBytes: number }
  | { readonly type: 'begun'; readonly due: string; readonly attempt: number }
  | { readonly type: 'ended'; readonly slot: RanSlot }
  /** The schedules in force are published. */
  | { readonly type: 'published' }
  | { readonly type: 'survey'; readonly facts: RepositoryFacts }
  | WorkerEnd;

/** The last message. */
export interface WorkerEnd {
  readonly type: 'end';
  /**
   * - settled: nothing is left to do until the next moment
   * - again: there is, at `againMs` (milliseconds since 1970)
   * - elsewhere: another host is at it
   * - unknown: it could not be found out, `message` says why
   * - aborted: it was told to end
   */
  readonly outcome: 'settled' | 'again' | 'elsewhere' | 'unknown' | 'aborted';
  readonly againMs?: number | undefined;
  readonly message?: string | undefined;
}

const types = new Set(['event', 'alive', 'begun', 'ended', 'published', 'survey', 'end']);

/** A line as a message; undefined: it is none. */
export function parseMessage(line: string): WorkerMessage | undefined {
  try {
    const message = JSON.parse(line) as WorkerMessage | null;
    return typeof message === 'object' && message !== null && types.has(message.type) ? message : undefined;
  } catch {
    return undefined;
  }
}
