/**
 * Where in the archived log a transaction ends: a recovery to one that is not there would say so only after it has
 * replayed everything.
 */
import type { RunContext } from '../lib/events.ts';
import type { Repository } from '../repository/repository.ts';
import type { BaseFacts } from '../source/postgres/base/facts.ts';
import { marksIn } from '../source/postgres/wal/dumped-records.ts';
import type { WalRun } from './pitr/wal-inventory.ts';
import { type DumpedWal, WalDump } from '../source/postgres/wal/waldump-batches.ts';
import { readSegment } from './wal/segment.ts';

export interface WantedTransaction {
  /** With or without its epoch: the log knows the lower 32 bits. */
  readonly xid: bigint;
  /** Folder with pg_waldump of the cluster's version. */
  readonly programs: string;
}

/**
 * The place in the run of the last segment that is needed for the commit or abort of a transaction; undefined if the
 * run does not hold it.
 */
export async function findTransaction(
  repository: Repository,
  facts: BaseFacts,
  run: WalRun,
  { xid, programs }: WantedTransaction,
  { signal, emit }: RunContext,
): Promise<number | undefined> {
  const dump = new WalDump({ programs, manager: 'Transaction', segmentBytes: facts.walSegmentBytes, signal });
  const wanted = BigInt.asUintN(32, xid);
  const hasEnded = ({ text }: DumpedWal): boolean =>
    marksIn(text).some((mark) => mark.kind === 'end' && mark.xids[0] === wanted);
  // A record that goes on in the next segment is found with it.
  const placeIn = (dumped: DumpedWal | undefined): number | undefined =>
    dumped !== undefined && hasEnded(dumped) ? run.names.indexOf(dumped.last) : undefined;
  for (const [n, name] of run.names.entries()) {
    if (n % 100 === 0) {
      emit({
        type: 'step',
        component: 'base',
        message: `looking for transaction ${xid} in WAL segment ${n + 1} of ${run.names.length}`,
      });
    }
    const place = placeIn(await dump.add(name, await readSegment(repository, facts.systemIdentifier, name)));
    if (place !== undefined) return place;
  }
  return placeIn(await dump.end());
}
