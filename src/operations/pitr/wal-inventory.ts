/**
 * What write-ahead log the repository has of a cluster. Read before a recovery, so that it is known beforehand whether
 * it can succeed.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { Repository } from '../../repository/repository.ts';
import { listWal, readWal } from '../../repository/wal/archive.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { parseHistory, type HistoryLine } from '../../source/postgres/wal/history.ts';
import { hasGapAtEnd, HeldTimelines, type HeldLog } from '../wal/gaps.ts';
import { settled, type Seen } from '../wal/settled.ts';

/** Everything of one cluster that is archived. */
export interface WalInventory {
  readonly systemId: string;
  readonly log: HeldLog;
  /** Histories that are there and cannot be read. */
  readonly damagedHistories: ReadonlyMap<number, LifeboatError>;
}

/** With a push under way it is what will be there once that is done. */
export async function takeInventory(
  repository: Repository,
  { systemIdentifier, walSegmentBytes }: Pick<BaseFacts, 'systemIdentifier' | 'walSegmentBytes'>,
): Promise<WalInventory> {
  return settled(
    () => listInventory(repository, systemIdentifier, walSegmentBytes),
    ({ log }) => hasGapAtEnd(log),
  );
}

async function listInventory(
  repository: Repository,
  systemId: string,
  segmentBytes: number,
): Promise<Seen<WalInventory>> {
  let newestMs = 0;
  const held = new HeldTimelines(segmentBytes);
  const histories = new Map<number, HistoryLine[]>();
  const damagedHistories = new Map<number, LifeboatError>();
  for await (const { file, modifiedMs } of listWal(repository.storage, systemId)) {
    newestMs = Math.max(newestMs, modifiedMs);
    held.add(file);
    if (file.kind !== 'history') continue;
    try {
      const text = (await readWal(repository, systemId, file.name)).toString('utf8');
      histories.set(file.timeline, parseHistory(text, file.name));
    } catch (error) {
      // It may be that of a timeline which is not needed.
      damagedHistories.set(file.timeline, damageOf(error));
    }
  }
  const log = { segmentBytes, timelines: held.timelines, histories };
  return { seen: { systemId, log, damagedHistories }, newestMs };
}

/** The error itself, if it is one of damage; whatever else went wrong is thrown on. */
export function damageOf(error: unknown): LifeboatError {
  if (error instanceof LifeboatError && error.code === 'integrity') return error;
  throw error;
}
