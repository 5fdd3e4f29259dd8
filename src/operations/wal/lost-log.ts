/**
 * Whether a segment that the archive does not have can be the end of the log. It cannot where a base backup needs it,
 * or where a cluster has base backups and no log at all: each was complete only once its own log was archived, so that
 * log is lost.
 */
import { LifeboatError } from '../../lib/errors.ts';
import { listWal } from '../../repository/wal/archive.ts';
import { timelinePrefix, walKey, type WalName } from '../../repository/wal/names.ts';
import type { Repository } from '../../repository/repository.ts';
import { timelineDigits } from '../../source/postgres/wal/file-name.ts';
import { NotFoundError, type Storage } from '../../storage/storage.ts';
import { isOfBase } from './base-segments.ts';
import { readAllBases, type KnownBase } from './bases.ts';

/** Log that base backups need is gone. */
export class LostLogError extends LifeboatError {
  override readonly name = 'LostLogError';

  constructor(missing: string, { id }: KnownBase, isAll: boolean) {
    const why = isAll ? `the archive has no log of this cluster at all` : `it is part of the log which that one needs`;
    super('integrity', `${missing} is missing in the archive, although base backup ${id} is there: ${why}`, {
      state: 'recovery must not end here',
      hint: 'see: lifeboat wal status. Is it the right repository, and all of it? Was wal/ removed or moved?',
    });
  }
}

/**
 * Throws LostLogError; resolves where the log may end before `file`, a segment or history. `systemId`: undefined where
 * neither the caller nor the archive tells. Where the segment before it is there, nothing else is asked.
 */
export async function refuseLostLog(
  repository: Repository,
  systemId: string | undefined,
  file: WalName,
): Promise<void> {
  const { storage } = repository;
  const { timeline, segment = '' } = file;
  if (systemId !== undefined && (await holdsBefore(storage, systemId, file))) return;
  const isAll = systemId === undefined || !(await holdsSegments(storage, systemId));
  if (!isAll && file.kind !== 'segment') return;
  const bases = await readAllBases(repository);
  const own = bases.filter(({ facts }) => systemId === undefined || facts.systemIdentifier === systemId);
  const needing = isAll ? own.at(-1) : own.find(({ facts }) => isOfBase(facts, { timeline, segment }));
  if (needing !== undefined) throw new LostLogError(file.name, needing, isAll);
}

/** By name alone, since the size of segments is not known here: the first of a log file follows the last of one. */
async function holdsBefore(storage: Storage, systemId: string, file: WalName): Promise<boolean> {
  if (file.kind !== 'segment' || file.segment === undefined) return false;
  const [log, low] = [file.segment.slice(8, 16), Number.parseInt(file.segment.slice(16), 16)];
  if (low === 0) {
    const before = timelineDigits(Number.parseInt(log, 16) - 1);
    return log !== '00000000' && isAny(storage, `${timelinePrefix(systemId, file.timeline)}${before}/`);
  }
  const name = `${file.segment.slice(0, 16)}${timelineDigits(low - 1)}`;
  try {
    await storage.stat(walKey(systemId, { ...file, name, segment: name }));
    return true;
  } catch (error) {
    if (error instanceof NotFoundError) return false;
    throw error;
  }
}

async function holdsSegments(storage: Storage, systemId: string): Promise<boolean> {
  for await (const { file } of listWal(storage, systemId)) {
    if (file.kind === 'segment' || file.kind === 'unfinished') return true;
  }
  return false;
}

async function isAny(storage: Storage, prefix: string): Promise<boolean> {
  for await (const _ of storage.list(prefix)) return true;
  return false;
}
