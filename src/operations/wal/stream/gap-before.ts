/** Where a receiver will begin, and whether the archive reaches up to there. */
import { walKey, needWalName } from '../../../repository/wal/names.ts';
import { listWal } from '../../../repository/wal/archive.ts';
import type { Repository } from '../../../repository/repository.ts';
import type { ReceiverServer } from '../../../source/postgres/server/receiver.ts';
import { NotFoundError, isDenied } from '../../../storage/storage.ts';
import type { SpoolListing } from './spool.ts';
import { parseLsn } from '../../../source/postgres/wal/lsn.ts';
import { segmentAt } from '../../../source/postgres/wal/file-name.ts';
import { closingBefore } from '../gaps.ts';

export interface StreamStart {
  /** The segment that comes first; undefined: not known. */
  readonly first: string | undefined;
  /** A warning: the archive has log, but not what comes directly before. */
  readonly gap: string | undefined;
}

/** The folder's own log comes first, else what the slot keeps. */
export async function gapBefore(
  { storage }: Repository,
  { systemId, slot, timeline, segmentBytes }: ReceiverServer,
  { finished, growing }: SpoolListing,
): Promise<StreamStart> {
  const inSpool = [...finished.filter((name) => !name.endsWith('.history')), ...growing].map((name) =>
    name.slice(0, 24),
  )[0];
  const first =
    inSpool ??
    (slot?.restartLsn === undefined ? undefined : segmentAt(timeline, parseLsn(slot.restartLsn), segmentBytes));
  if (first === undefined) return { first, gap: undefined };
  const has = async (name: string): Promise<boolean> =>
    storage.stat(walKey(systemId, needWalName(name))).then(
      () => true,
      (error: unknown) => {
        if (error instanceof NotFoundError) return false;
        throw error;
      },
    );
  try {
    for (const name of closingBefore(first, segmentBytes)) if (await has(name)) return { first, gap: undefined };
    for await (const _ of listWal(storage, systemId)) {
      return {
        first,
        gap:
          `the archive has no segment directly before ${first}, where this stream begins: unless archive_command ` +
          'hands it over, moments between the last archived one and here cannot be recovered; take a base backup ' +
          'now: lifeboat backup base',
      };
    }
  } catch (error) {
    // A host that may only write cannot look.
    if (!isDenied(error)) throw error;
  }
  return { first, gap: undefined };
}
