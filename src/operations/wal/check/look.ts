/**
 * Looks into one object of archived log, as closely as is asked for: by its size and trailer, by its tags, by what it
 * holds.
 */
import { LifeboatError, messageOf } from '../../../lib/errors.ts';
import { parseTrailer, trailerBytes } from '../../../repository/box/layout.ts';
import { damaged, DamagedError, reasonFor } from '../../../repository/box/seal.ts';
import { checkSegment, checkWalFile } from '../../../repository/wal/archivable.ts';
import { isTooShort, openWalObject, type WalObject } from '../../../repository/wal/archive.ts';
import { tooShort } from '../../../repository/wal/memory.ts';
import type { OpenedWal } from '../../../repository/wal/stored.ts';
import { needWalName } from '../../../repository/wal/names.ts';
import type { Repository } from '../../../repository/repository.ts';
import { pageFault } from '../../../source/postgres/wal/pages.ts';
import { NotFoundError } from '../../../storage/storage.ts';
import type { LogFaultKind } from './request.ts';

/** What came of looking at one object. */
export interface Looked {
  readonly fault?: { readonly kind: LogFaultKind; readonly problem: string };
  /** Why it does not count, or could not be opened, though it may be whole. */
  readonly doubt?: string;
  /** It went since it was listed: something longer has taken its place. */
  readonly isGone?: boolean;
  /** Where it was read and is what it should be. */
  readonly content?: OpenedWal;
}

/** Is the object as long as its end says? That is all, and costs next to nothing. */
export async function lookAtSize(repository: Repository, object: WalObject): Promise<Looked> {
  const { storage } = repository;
  const { key, sizeBytes } = object;
  try {
    if (isTooShort(object)) throw new LifeboatError('integrity', tooShort(sizeBytes));
    parseTrailer(await storage.get(key, { start: sizeBytes - trailerBytes, end: sizeBytes }), sizeBytes);
    if (sizeBytes < mostListBytes && repository.canRead) await lookForParts(repository, key);
    return {};
  } catch (error) {
    // Where versions are kept the true one may lie below.
    if (storage.history !== undefined) return lookInside(repository, object);
    return judged(error, object, 'size');
  }
}

/** A list of parts has less; and so has a small segment, which is soon read. */
const mostListBytes = 16 * 1024;

/** Of a segment that is stored in parts: each must be there. */
async function lookForParts(repository: Repository, key: string): Promise<void> {
  const { parts } = await openWalObject(repository, key);
  for (const part of parts) {
    await repository.storage.stat(part).catch((error: unknown) => {
      throw error instanceof NotFoundError ? damaged(key, `its part ${part} is missing`, error) : error;
    });
  }
}

/** Reads it: tags, signature, and whether it is the file that its name says. With `pages` its page headers too. */
export async function lookInside(
  repository: Repository,
  object: WalObject,
  { pages = false }: { readonly pages?: boolean } = {},
): Promise<Looked> {
  let content: OpenedWal;
  try {
    content = await openWalObject(repository, object.key);
  } catch (error) {
    return judged(error, object, 'damaged');
  }
  try {
    await checkContent(object, content, pages);
    return { content };
  } catch (error) {
    // In the parts of a large one, which are read only now.
    return judged(error, object, error instanceof DamagedError ? 'damaged' : 'content');
  }
}

async function checkContent(object: WalObject, content: OpenedWal, pages: boolean): Promise<void> {
  let [head, start]: [Buffer | undefined, number] = [undefined, 0];
  for await (const piece of content.pieces()) {
    if (head === undefined && !isOwnSegment(object, piece, content.bytes)) continue;
    head ??= piece;
    // What a promotion left may end in what its file held before.
    const fault = pages && object.file.kind !== 'partial' ? pageFault(piece, { head, start }) : undefined;
    if (fault !== undefined) throw new LifeboatError('integrity', fault);
    start += piece.length;
  }
}

/** Throws for what is not what its name says; false for histories and labels. */
function isOwnSegment({ systemId, file }: WalObject, head: Buffer, bytes: number): boolean {
  const isUnfinished = file.kind === 'unfinished';
  const header = isUnfinished
    ? checkSegment(needWalName(file.segment ?? ''), head, bytes)
    : checkWalFile(file, head, bytes);
  if (header === undefined) return false;
  if (header.systemId !== systemId) {
    throw new LifeboatError('integrity', `it was written by cluster ${header.systemId}, not by ${systemId}`);
  }
  return true;
}

/** Throws what is a failure of the storage, not of the object. */
function judged(error: unknown, { key, file }: WalObject, kind: LogFaultKind): Looked {
  if (error instanceof NotFoundError) {
    return file.kind === 'unfinished' ? { isGone: true } : { fault: { kind: 'missing', problem: 'it is missing' } };
  }
  if (error instanceof LifeboatError && error.code === 'key') return { doubt: messageOf(error) };
  if (!(error instanceof LifeboatError) || error.code !== 'integrity') throw error;
  return { fault: { kind, problem: reasonFor(key, error) } };
}
