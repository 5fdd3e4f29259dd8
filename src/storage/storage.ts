/**
 * Where bytes rest: the seam between the repository and a folder, a bucket or any later store.
 * Objects are at most 64 MiB, so bodies are buffers, never streams.
 */
import { LifeboatError, type ErrorDetails } from '../lib/errors.ts';

/** Part of an object: bytes from `start` (inclusive) to `end` (exclusive). */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface ObjectInfo {
  readonly key: string;
  readonly sizeBytes: number;
  /** The storage's own stamp of the last writing, milliseconds since 1970. */
  readonly modifiedMs: number;
}

export interface PutOptions {
  /** Overwrite an existing object, all or nothing. Default: an existing key is an AlreadyExistsError. */
  readonly replace?: boolean;
  /** The name is random (packs): no check for an existing object is needed. */
  readonly randomName?: boolean;
  /** Object lock, where the storage has it: milliseconds since 1970. */
  readonly retainUntilMs?: number;
}

/**
 * Keys are `/`-separated paths without a leading slash; segments that begin with a dot are no objects.
 * Every method rejects with a StorageError (exit code 20) after its retries, NotFoundError or AlreadyExistsError;
 * `put` also with a LifeboatError `space` (15) when the storage is full.
 */
export interface Storage {
  /** For messages: `file:///path` or `s3://bucket/prefix`, without credentials. */
  readonly location: string;
  readonly capabilities: StorageCapabilities;
  /**
   * At most 64 MiB, all or nothing, durable when it resolves; concurrent writers of one key without `replace`: exactly
   * one wins on local storage, best effort on S3.
   */
  put(key: string, parts: readonly Uint8Array[], options?: PutOptions): Promise<void>;
  /**
   * The whole object or exactly the range asked for (a shorter object: StorageError). NotFoundError only when it is
   * proven absent.
   */
  get(key: string, range?: ByteRange): Promise<Buffer>;
  stat(key: string): Promise<ObjectInfo>;
  /**
   * Every object whose key begins with `prefix` (a plain string prefix), in byte order of keys, streamed; with `after`,
   * only keys greater than that one. Absent prefix: nothing.
   */
  list(prefix: string, after?: string): AsyncIterable<ObjectInfo>;
  /** Absent keys are fine. */
  remove(keys: readonly string[], options?: RemoveOptions): Promise<void>;
  /**
   * Where old versions are kept (undefined elsewhere, where `remove` is for good): removes these objects with all their
   * versions. What object lock retains stays as it is, and is returned. Absent keys are fine.
   */
  removeVersions?(
    keys: readonly string[],
    options?: { readonly hiddenOnly?: boolean },
  ): Promise<readonly RetainedObject[]>;
  /**
   * Where objects can be locked: this object's lock lasts at least until then, milliseconds since 1970. With
   * `sizeBytes` it is one that is written once: the oldest version of that size is the true one, whatever was put over
   * it; without, every version is meant. False: refused, or the object is not there, or hidden, or has another size; a
   * lock may then last shorter.
   */
  extendRetention?(key: string, untilMs: number, sizeBytes?: number): Promise<boolean>;
  /** Where old versions are kept: they can be read. */
  readonly history?: ObjectHistory;
  /** Until when what is written of backups by this opening is retained, where the repository asks for that. */
  readonly retention?: { readonly untilMs: number };
  /** Free and total bytes where the storage can tell. */
  space(): Promise<{ readonly freeBytes: number; readonly totalBytes: number } | undefined>;
  /**
   * Removes half-written files of runs that were killed, older than that by the storage's own clock. Returns their
   * paths; empty where puts leave nothing.
   */
  removeStaleTemporaries(olderThanMs: number): Promise<readonly string[]>;
  close(): Promise<void>;
}

export interface ObjectVersion {
  readonly id: string;
  /** A plain DELETE: hides what is before it. */
  readonly isMarker: boolean;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface ObjectVersions {
  readonly key: string;
  /** Newest first; never empty. */
  readonly versions: readonly ObjectVersion[];
}

/** Earlier versions of objects. Rejects as Storage does. */
export interface ObjectHistory {
  /**
   * Of every object, hidden ones too, whose key begins with `prefix`, in byte order of keys; with `after`, only keys
   * greater than that one.
   */
  list(prefix: string, after?: string): AsyncIterable<ObjectVersions>;
  /** As Storage.get. */
  get(key: string, versionId: string, range?: ByteRange): Promise<Buffer>;
  /** Tells the operator, in a sentence, that an earlier version had to be used. */
  fellBack(message: string): void;
}

/** An object that cannot be removed yet. */
export interface RetainedObject {
  readonly key: string;
  /** Milliseconds since 1970; undefined: a legal hold. */
  readonly untilMs: number | undefined;
}

export interface RemoveOptions {
  /**
   * What a run that is being stopped has still to do (its lease, a manifest that it takes back): the signal of the
   * storage does not end this call.
   */
  readonly afterAbort?: boolean;
  /** How long to go on after the first failure, in milliseconds. Default: as for every call. */
  readonly budgetMs?: number;
}

export interface StorageCapabilities {
  readonly versions: boolean;
  readonly objectLock: boolean;
  readonly freeSpace: boolean;
  /** What the server should do and does not, in words; absent where nothing is known to be missing. */
  readonly missing?: readonly string[];
  /** How a bucket retains every new object by itself, e.g. "GOVERNANCE, 30 days"; undefined where it does not. */
  readonly defaultRetention?: string | undefined;
}

/** The largest object that `put` takes. */
export const maxObjectBytes = 64 * 1024 * 1024;

/** The storage failed, after retries; `retryable` says whether a later try may succeed. */
export class StorageError extends LifeboatError {
  override readonly name = 'StorageError';

  constructor(message: string, details: ErrorDetails = {}) {
    super('storage', message, details);
  }
}

/**
 * The storage has said no, and will again: reading or writing is not allowed to these credentials. Whoever can do
 * without what was asked goes on.
 */
export function isDenied(error: unknown): error is StorageError {
  return error instanceof StorageError && !error.retryable;
}

/** The object is shorter than the range that was asked for: cut off, or another one than was meant. */
export class TooShortError extends StorageError {
  constructor(what: string, { start, end }: ByteRange, sizeBytes?: number) {
    super(
      `cannot read bytes ${start} to ${end} of ${what}: ` +
        (sizeBytes === undefined ? 'it is shorter' : `it has only ${sizeBytes}`),
    );
  }
}

/** The object is proven absent: the storage answered and does not have it. */
export class NotFoundError extends LifeboatError {
  override readonly name = 'NotFoundError';
  readonly key: string;

  constructor(location: string, key: string, details: ErrorDetails = {}) {
    super('not_found', `no object ${key} in ${location}`, details);
    this.key = key;
  }
}

/** Another object has that key already; it was left as it is. */
export class AlreadyExistsError extends LifeboatError {
  override readonly name = 'AlreadyExistsError';
  readonly key: string;

  constructor(location: string, key: string, details: ErrorDetails = {}) {
    super('storage', `object ${key} exists already in ${location}`, details);
    this.key = key;
  }
}

/** Refuses ranges that are no ranges; these come from callers' arithmetic on stored numbers. */
export function checkRange(key: string, { start, end }: ByteRange): void {
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end) return;
  throw new StorageError(`cannot read bytes ${start} to ${end} of ${key}: that is not a range`);
}
