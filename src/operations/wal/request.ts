/** What the operations on write-ahead log are asked and answer; rules as in operation.ts. */
import type { Confirm } from '../operation.ts';
import type { Some } from '../complete.ts';

/** One call of archive_command. */
export interface WalPushRequest {
  /** Absolute; %p. */
  readonly path: string;
  /** Absolute: PostgreSQL's working directory, its data directory. */
  readonly cwd: string;
  readonly target?: string | undefined;
  /** Folder where to note what was archived along with it; undefined: one in the state folder. */
  readonly shippedDir?: string | undefined;
  /** From now on this target's log comes from another cluster. */
  readonly acceptNewSystem: boolean;
}

/** Which file of write-ahead log to archive; paths may be relative. */
export type WalPushOptions = Some<WalPushRequest> & Pick<WalPushRequest, 'path'>;

export interface WalPushResult {
  readonly name: string;
  /**
   * `shipped`: by an earlier call, as that one noted; `present`: it was in the repository with the same content;
   * `replaced`: stored, where an empty object was.
   */
  readonly outcome: 'stored' | 'present' | 'replaced' | 'shipped';
  readonly systemId?: string | undefined;
  /** Other files that were ready and are archived now. */
  readonly along: readonly string[];
}

/** One call of restore_command. */
export interface WalFetchRequest {
  /** %f. */
  readonly name: string;
  /** Absolute; %p. */
  readonly path: string;
  /** Absolute. */
  readonly cwd: string;
  /** Undefined: that of the data directory, else the only one in the archive. */
  readonly systemId?: string | undefined;
  /** Trouble is waited out; a gap is for the server to fill by streaming. */
  readonly standby: boolean;
  /** Take log that no trusted writer signed. */
  readonly force: boolean;
}

/** Which file of write-ahead log to deliver, and where to; paths may be relative. */
export type WalFetchOptions = Some<WalFetchRequest> & Pick<WalFetchRequest, 'name' | 'path'>;

export interface WalFetchResult {
  readonly name: string;
  /** `absent`: the repository answered, and has neither it nor anything after it. */
  readonly outcome: 'delivered' | 'absent';
  /** `spool`: fetched ahead by an earlier call; `unfinished`: what a stream had so far of the last segment. */
  readonly from?: 'repository' | 'spool' | 'unfinished' | undefined;
  readonly systemId?: string | undefined;
}

/** A receiver that runs until it is stopped. */
export interface WalStreamRequest {
  readonly target?: string | undefined;
  /** Name of the physical replication slot. */
  readonly slot: string;
  /** Make the slot if it is not there. */
  readonly createSlot: boolean;
  /** Only remove the slot. */
  readonly dropSlot: boolean;
  /** How often the unfinished segment is shipped, milliseconds. */
  readonly intervalMs: number;
  /** How often `report` is called, milliseconds. */
  readonly reportMs: number;
  /** Received, but not yet shipped log may take so many bytes on this host; beyond them it is left to the server. */
  readonly maxSpoolBytes: number;
  /** From now on this target's log comes from another cluster. */
  readonly acceptNewSystem: boolean;
  /** Begin anew where the slot begins, although log before it is lost. */
  readonly acceptGap: boolean;
  /** While another receiver of the cluster runs: do nothing and say so, instead of failing. */
  readonly skipIfRunning: boolean;
  /** Told every `reportMs`. */
  readonly report?: ((report: WalStreamReport) => void) | undefined;
  /** Before the slot is removed. */
  readonly confirm: Confirm;
}

/** Which slot to receive by, and how. */
export type WalStreamOptions = Some<WalStreamRequest>;

export const walStreamDefaults = {
  slot: 'lifeboat',
  createSlot: false,
  dropSlot: false,
  intervalMs: 5000,
  reportMs: 60_000,
  maxSpoolBytes: 1_000_000_000,
  acceptNewSystem: false,
  acceptGap: false,
  skipIfRunning: false,
} as const satisfies WalStreamOptions;

/** Where a receiver stands. Positions as PostgreSQL writes them. */
export interface WalStreamReport {
  /** waiting: the server or the repository is away, see `trouble`; ended: it was stopped; skipped: another one runs. */
  readonly state: 'streaming' | 'waiting' | 'ended' | 'skipped' | 'slot-dropped' | 'slot-absent';
  readonly target: string;
  readonly slot: string;
  readonly at: string;
  readonly systemId?: string | undefined;
  /** How far the server's log is durable; undefined: it does not answer. */
  readonly serverLsn?: string | undefined;
  /** All up to here is in the repository. */
  readonly shippedLsn?: string | undefined;
  /** From there to the server's. */
  readonly lagBytes?: number | undefined;
  /** When all that had been received was last in the repository. */
  readonly caughtUpAt?: string | undefined;
  /** Finished segments and unfinished ones that this run has shipped. */
  readonly segments: number;
  readonly partials: number;
  /** What the received log takes on this host. */
  readonly spoolBytes: number;
  readonly trouble?: string | undefined;
  readonly warnings: readonly string[];
}

export interface WalRecipeRequest {
  /** Absolute path of the configuration file; undefined: the one that was read. */
  readonly configPath?: string | undefined;
  readonly target?: string | undefined;
}

/** Lines for postgresql.conf. */
export interface WalRecipeResult {
  readonly archiveCommand: string;
  readonly restoreCommand: string;
}

export interface WalStatusRequest {
  readonly target?: string | undefined;
}

export interface WalTimeline {
  readonly timeline: number;
  /** Names of the first and the last archived segment. */
  readonly first: string;
  readonly last: string;
  /** 0: only the beginning of one is there, whose name stands as first and last. */
  readonly segments: number;
  readonly storedBytes: number;
  /** What a stream has of a segment behind the last one. */
  readonly unfinished?: WalUnfinished | undefined;
}

/** The end of the log in the archive. */
export interface WalUnfinished {
  readonly segment: string;
  /** Archived up to here, as PostgreSQL writes it. */
  readonly lsn: string;
  /** The storage's stamp of its writing. */
  readonly at: string;
}

/** Segments that are missing between others. */
export interface WalGap {
  readonly first: string;
  readonly last: string;
  readonly segments: number;
}

export interface WalSystem {
  readonly systemId: string;
  /** Undefined while no segment is archived. */
  readonly segmentBytes?: number | undefined;
  readonly timelines: readonly WalTimeline[];
  readonly gaps: readonly WalGap[];
  readonly missingHistories: readonly string[];
  /** Objects that are known not to be what was stored; they count as missing. */
  readonly damaged: readonly DamagedLog[];
}

/** An object of the archive that is not what was stored. */
export interface DamagedLog {
  readonly object: string;
  readonly problem: string;
}

/** What the server says of its own archiving. */
export interface WalServerLag {
  readonly systemId: string;
  readonly currentLsn: string;
  readonly currentSegment: string;
  /** It is a standby: `currentLsn` is how far it has received or replayed the log of its primary. */
  readonly standby?: boolean | undefined;
  readonly lastArchived?: string | undefined;
  readonly secondsSince?: number | undefined;
  readonly failures: number;
  readonly lastFailed?: string | undefined;
  /** How far the archive reaches, and from there to the server; undefined where it has nothing of this cluster. */
  readonly archivedLsn?: string | undefined;
  readonly behindBytes?: number | undefined;
}

export interface WalStatusResult {
  readonly repository: string;
  readonly systems: readonly WalSystem[];
  /** Undefined where no server is configured or it cannot be reached. */
  readonly lag?: WalServerLag | undefined;
  readonly warnings: readonly string[];
}
