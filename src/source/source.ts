/**
 * What is protected: the seam between servers or folders and the repository. A source knows nothing
 * of storage; it yields artifacts (named byte streams) and facts, and takes artifacts back.
 */
import { LifeboatError } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';

export type SourceKind = 'postgres' | 'base' | 'redis' | 'files';

/** JSON that goes into the sealed facts of a backup; no secret stands in it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** What a source is before a backup; nothing was changed to learn it. */
export interface SourceInfo {
  /** Version of the server, e.g. "15.18"; undefined for files. */
  readonly serverVersion: string | undefined;
  /** Which server or host this is, for messages and wrong-host guards; no credentials. */
  readonly identity: Readonly<Record<string, string>>;
  /** How many bytes a dump is likely to read; undefined if it cannot be told. */
  readonly estimatedBytes: number | undefined;
  /** Rights or settings that are missing, each with what to do about it. */
  readonly problems: readonly Problem[];
}

/** Something that is not as it should be; `fatal`: a backup would fail. */
export interface Problem {
  readonly message: string;
  readonly hint: string;
  readonly fatal: boolean;
}

/**
 * How an artifact's bytes come.
 * - tool: `run` starts a program with the given file descriptor as its standard output (a FIFO's write
 *   end) and resolves once the program runs; the caller then closes its own copy of the descriptor.
 * - pipe: a program runs already, and fills a pipe; it waits while nobody reads it.
 * - stream: buffers from our own code; it must throw if anything behind it failed. Buffers may be reused
 *   by the producer once the next one is asked for.
 */
export type ArtifactBody =
  | { readonly from: 'tool'; readonly run: (stdoutFd: number, signal: AbortSignal) => Promise<ToolProcess> }
  | { readonly from: 'pipe'; readonly open: (signal: AbortSignal) => OpenPipe }
  | { readonly from: 'stream'; readonly stream: AsyncIterable<Uint8Array> };

/** A pipe to be read from now on, by one reader; aborting the signal that it was opened with ends the program. */
export interface OpenPipe {
  /** What comes before all that is read from the pipe. */
  readonly head: Uint8Array;
  /** For blocking reads, until `release`. */
  readonly readFd: number;
  /**
   * The pipe carries more than this artifact, which ends with a run of frames (lib/frame-run.ts); without them it ends
   * with the pipe.
   */
  readonly frames?: {
    /** The first bytes of the run. */
    readonly begin: Uint8Array;
    /** What has been read of the pipe already. */
    readonly read: Uint8Array;
  };
  /** Settles once the program has ended and been checked. With `frames` that may be long after this artifact's end. */
  readonly done: Promise<void>;
  /** To be called once nobody reads from `readFd` any more, with what was read beyond the end of the frames. */
  release(surplus: Uint8Array): void;
}

/** A running program: `done` settles once it has ended and been checked; it rejects if it failed. */
export interface ToolProcess {
  readonly done: Promise<void>;
}

/** One named byte stream of a backup. */
export interface Artifact {
  /** [A-Za-z0-9._-]{1,100}, not starting with a dot, unique in the backup. */
  readonly name: string;
  readonly mediaType: string;
  readonly body: ArtifactBody;
  /** 'small' for base backups (64/256/1024 KiB); default 512 KiB/1 MiB/4 MiB. */
  readonly chunkSize?: 'small';
}

/** What a component recorded while it was dumped. All of it is sealed: nothing of it can be read without a key. */
export interface ComponentFacts {
  readonly kind: SourceKind;
  readonly facts: Json;
  /** How much of the source is damaged, or not in the dump, although all went well otherwise; absent: nothing. */
  readonly flaws?: number;
}

export interface ArtifactInfo {
  readonly name: string;
  readonly mediaType: string;
  readonly bytes: number;
}

/** Stored artifacts of one component, as a restore reads them: authenticated bytes, in order. */
export interface ArtifactReader {
  readonly artifacts: readonly ArtifactInfo[];
  /**
   * All bytes of an artifact, or those from `start` to `end` (exclusive). Throws (integrity, storage) instead of ending
   * early. The chunks are the caller's own, who may empty them (`discard`): nobody else looks at one once it is given.
   */
  open(name: string, range?: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array>;
}

/** What is protected. One object serves one dump or one restore. */
export interface Source {
  readonly kind: SourceKind;
  /**
   * Versions, identity, rights; changes nothing. Throws (source, tool) when the server cannot be reached or a tool is
   * missing.
   */
  probe(context: RunContext): Promise<SourceInfo>;
  /**
   * Yields artifacts; several bodies may be open side by side, and the next artifact is asked for only when there is
   * room. Leaving the loop early (return/throw) releases everything the dump holds. `onHeld` is called once nothing
   * that is written from then on can show in the dump, where that is before its end.
   */
  dump(context: RunContext, onHeld?: () => void): AsyncIterable<Artifact>;
  /**
   * Complete once the dump has been iterated to its end and every body has ended; rejects before (leftEarly), and with
   * what went wrong if the dump or a body failed.
   */
  facts(): Promise<ComponentFacts>;
  /** Why a dump failed, where the source can tell more once it is over; else the same error. Does not throw. */
  explain?(error: unknown, context: RunContext): Promise<unknown>;
}

/** The source let go of what it held, since others waited for it: all of the dump is void, and may be begun anew. */
export class GaveWayError extends LifeboatError {
  override readonly name = 'GaveWayError';

  constructor(message: string, details: { readonly hint: string }) {
    super('source', message, { ...details, retryable: true });
  }
}

/** What a source says that is asked for the facts of a dump which did not come to its end. */
export function leftEarly(): LifeboatError {
  return new LifeboatError('source', 'the dump was left before its end');
}
