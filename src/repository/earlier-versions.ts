/**
 * Reading past what an intruder with the right to write did. Objects of a repository are written once, so where
 * earlier versions are kept, the oldest one that opens is the true one: it is taken where the newest is a delete
 * marker, or is not what it should be.
 */
import { LifeboatError, messageOf } from '../lib/errors.ts';
import {
  isDenied,
  NotFoundError,
  TooShortError,
  type ByteRange,
  type ObjectVersion,
  type Storage,
} from '../storage/storage.ts';

/**
 * What `open` makes of the object (or that range of it), else of its oldest version that it opens; rejects as the
 * newest did. `open` is to reject with `integrity` for what is not the true one.
 */
export async function openTrue<T>(
  storage: Storage,
  key: string,
  open: (bytes: Buffer) => T | Promise<T>,
  range?: ByteRange,
): Promise<T> {
  try {
    return await open(await storage.get(key, range));
  } catch (error) {
    if (!isLoss(error)) throw error;
    const earlier = await openEarlier(storage, key, open, range);
    if (earlier === undefined) throw error;
    storage.history?.fellBack(
      `${key} was overwritten or deleted (${messageOf(error)}); an earlier version of it is used`,
    );
    return earlier.opened;
  }
}

/** The oldest version that opens; undefined when none does, or none is kept. */
export async function openEarlier<T>(
  storage: Storage,
  key: string,
  open: (bytes: Buffer, version: ObjectVersion) => T | Promise<T>,
  range?: ByteRange,
): Promise<{ readonly opened: T } | undefined> {
  const { history } = storage;
  if (history === undefined) return undefined;
  for (const version of await storedVersions(history, key)) {
    try {
      return { opened: await open(await history.get(key, version.id, range), version) };
    } catch (error) {
      if (!isLoss(error)) throw error;
    }
  }
  return undefined;
}

/** An object that is written once. */
export interface StoredOnce {
  readonly key: string;
  /** The storage's stamp of its first writing, milliseconds since 1970; of its last where no versions are kept. */
  readonly modifiedMs: number;
}

/**
 * Every object whose key begins with `prefix`, in byte order of keys; where versions are kept, and these credentials
 * may look, with those that a delete marker hides. For what is only ever deleted with all its versions.
 */
export async function* everStored(storage: Storage, prefix: string): AsyncGenerator<StoredOnce> {
  if (storage.history !== undefined) {
    try {
      for await (const { key, versions } of storage.history.list(prefix)) {
        const first = versions.findLast(({ isMarker }) => !isMarker);
        if (first !== undefined) yield { key, modifiedMs: first.modifiedMs };
      }
      return;
    } catch (error) {
      if (!isDenied(error)) throw error;
    }
  }
  for await (const { key, modifiedMs } of storage.list(prefix)) yield { key, modifiedMs };
}

/** Oldest first, without markers. Credentials that may not look have none. */
async function storedVersions(history: NonNullable<Storage['history']>, key: string): Promise<ObjectVersion[]> {
  try {
    for await (const found of history.list(key)) {
      if (found.key === key) return found.versions.filter(({ isMarker }) => !isMarker).toReversed();
    }
  } catch (error) {
    if (!isDenied(error)) throw error;
  }
  return [];
}

function isLoss(error: unknown): boolean {
  return (
    error instanceof NotFoundError ||
    error instanceof TooShortError ||
    (error instanceof LifeboatError && error.code === 'integrity')
  );
}
