/** What the operations on write-ahead log are asked and answer; rules as in requests.ts. */

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

export interface WalPushResult {
  readonly name: string;
  /** `shipped`: by an earlier call, as that one noted; `present`: it was in the repository with the same content. */
  readonly outcome: 'stored' | 'present' | 'shipped';
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

export interface WalFetchResult {
  readonly name: string;
  /** `absent`: the repository answered, and has neither it nor anything after it. */
  readonly outcome: 'delivered' | 'absent';
  /** `spool`: fetched ahead by an earlier call; `unfinished`: what a stream had so far of the last segment. */
  readonly from?: 'repository' | 'spool' | 'unfinished' | undefined;
  readonly systemId?: string | undefined;
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
  readonly segments: number;
  readonly storedBytes: number;
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
}

/** What the server says of its own archiving. */
export interface WalServerLag {
  readonly systemId: string;
  readonly currentLsn: string;
  readonly currentSegment: string;
  readonly lastArchived?: string | undefined;
  readonly secondsSince?: number | undefined;
  readonly failures: number;
  readonly lastFailed?: string | undefined;
}

export interface WalStatusResult {
  readonly repository: string;
  readonly systems: readonly WalSystem[];
  /** Undefined where no server is configured or it cannot be reached. */
  readonly lag?: WalServerLag | undefined;
  readonly warnings: readonly string[];
}
