/** What a recovery to a moment is asked and what it answers. Times RFC 3339 in UTC, sizes bytes. */
export type PitrAction = 'pause' | 'promote' | 'shutdown';

export interface PitrRequest {
  /** As typed: a time with zone, lsn:, xid:, name:, latest, immediate. */
  readonly to: string;
  readonly target?: string | undefined;
  /** Undefined: the newest that comes from the base backup's. */
  readonly timeline?: number | undefined;
  /** Stop behind the target (default) or directly before it. */
  readonly inclusive: boolean;
  /** Absolute; must be absent or empty. Undefined only for plans. */
  readonly dataDir?: string | undefined;
  /** Old path or name of a tablespace → new path, absolute. Others go to `<dataDir>-tablespaces/<oid>`. */
  readonly tablespaceMap?: Readonly<Record<string, string>> | undefined;
  /** pause: left at the target, read-only, on a private socket; promote: left running there; shutdown: promoted and shut down, ready to be started. */
  readonly action: PitrAction;
  /** Open every segment that will be needed, and change nothing. */
  readonly check: boolean;
  readonly dryRun: boolean;
}

export interface PitrPlanned {
  /** Of the base backup. */
  readonly id: string;
  readonly target: string;
  readonly to: string;
  readonly systemIdentifier: string;
  readonly serverVersion: string;
  readonly timeline: number;
  /** When the base backup was complete. */
  readonly baseAt: string;
  readonly baseBytes: number;
  /** WAL files to replay at most. */
  readonly segments: { readonly count: number; readonly first: string; readonly last: string; readonly bytes: number };
  /** Moments that can be recovered from this base backup on; `to`: the last archived commit. */
  readonly window: { readonly from: string; readonly to?: string | undefined };
  /** About. */
  readonly estimatedMs: number;
  readonly dataDir?: string | undefined;
  /** Those outside of the data directory; `to` where a place for them is known. */
  readonly tablespaces: readonly { readonly name: string; readonly from: string; readonly bytes: number; readonly to?: string | undefined }[];
}

export type PitrResult =
  | (PitrPlanned & { readonly outcome: 'planned'; /** How many segments were opened. */ readonly checked?: number | undefined; readonly warnings: readonly string[] })
  | (PitrPlanned & {
      readonly outcome: 'done';
      readonly action: PitrAction;
      /** In the words of the server: where it stopped. */
      readonly stopped: string;
      /** Databases of which every table was read. */
      readonly databases: readonly string[];
      readonly segmentsReplayed: number;
      readonly durationMs: number;
      /** Of the server, where it was left running. */
      readonly url?: string | undefined;
      readonly pid?: number | undefined;
      readonly nextSteps: readonly string[];
      readonly warnings: readonly string[];
    });

export interface RestorePointRequest {
  readonly name: string;
  readonly target?: string | undefined;
}

export interface RestorePointResult {
  readonly name: string;
  readonly target: string;
  readonly lsn: string;
  readonly at: string;
  readonly warnings: readonly string[];
}
