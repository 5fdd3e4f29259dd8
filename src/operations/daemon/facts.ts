/** What a daemon knows of itself, for whoever asks. Times in milliseconds since 1970. */
import type { RepositoryFacts } from '../metrics/facts.ts';

export interface DaemonFacts {
  /** The loop turned last. */
  readonly turnedMs: number;
  /** By a clock that nobody sets. */
  readonly turnedAgoMs: number;
  /** The configuration in force was read. */
  readonly configReadMs: number;
  /** False: what was to be read last did not parse. */
  readonly isConfigCurrent: boolean;
  readonly isStopping: boolean;
  /** The label of that name. */
  readonly service: string;
  readonly survey: SurveyState;
  readonly schedules: readonly { readonly id: string; readonly type: string; readonly nextMs: number | undefined }[];
  readonly jobs: readonly RunningJob[];
  /** Attempts that have ended since the daemon began, by schedule and outcome. */
  readonly ended: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

/** How the repository answered. */
export interface SurveyState {
  /** The last one that succeeded; undefined: none has. */
  readonly atMs: number | undefined;
  /** By a clock that nobody sets. */
  readonly agoMs: number | undefined;
  /** The last one did. */
  readonly isUp: boolean;
  /** What it found. */
  readonly facts: RepositoryFacts | undefined;
}

export interface RunningJob {
  readonly id: string;
  readonly sinceMs: number;
  /** As its worker told last. */
  readonly movedBytes: number;
  /** When that grew last. */
  readonly movedMs: number;
}
