/** A segment as far as the archive has it: whole, or what a stream had of it when it was the end of the log. */
import { listWal, openWal, openWalObject, type WalObject } from '../../repository/wal/archive.ts';
import { needWalName } from '../../repository/wal/names.ts';
import type { OpenedWal } from '../../repository/wal/stored.ts';
import type { Repository } from '../../repository/repository.ts';
import { NotFoundError } from '../../storage/storage.ts';

const tries = 3;

/**
 * An unfinished one is padded with zeros. Throws NotFoundError when there is neither, else as openWal; so do the pieces
 * of a large one.
 */
export async function openSegment(
  repository: Repository,
  systemId: string,
  name: string,
  options: { readonly force?: boolean } = {},
): Promise<OpenedWal> {
  for (let left = tries; ; left--) {
    try {
      return await openWal(repository, systemId, name, options);
    } catch (error) {
      if (!isAbsent(error)) throw error;
      const unfinished = await newestUnfinished(repository, systemId, name);
      if (unfinished === undefined) throw error;
      try {
        return await openWalObject(repository, unfinished.key, options);
      } catch (later) {
        // A longer one has taken its place since it was listed, or the whole segment.
        if (left === 1 || !isAbsent(later)) throw later;
      }
    }
  }
}

/** The first piece of a file, which holds its header. */
export async function headOf(content: OpenedWal): Promise<Buffer> {
  for await (const piece of content.pieces()) return piece;
  return Buffer.alloc(0);
}

/** Reads it to its end, so that all of it is verified. */
export async function verifyWhole(content: OpenedWal): Promise<void> {
  // What is small was verified as a whole when it was opened.
  if (content.parts.length === 0) return;
  for await (const _ of content.pieces());
}

/** What a stream had last of a segment; undefined: nothing. */
export async function newestUnfinished(
  { storage }: Repository,
  systemId: string,
  segment: string,
): Promise<WalObject | undefined> {
  let newest: WalObject | undefined;
  for await (const each of listWal(storage, systemId, { timeline: needWalName(segment).timeline, from: segment })) {
    if (each.file.segment !== segment) break;
    if (each.file.kind === 'unfinished') newest = each;
  }
  return newest;
}

function isAbsent(error: unknown): boolean {
  return error instanceof NotFoundError && error.key.startsWith('wal/');
}
