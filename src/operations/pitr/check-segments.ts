/** The log that a recovery needs, opened beforehand: every segment, its header, and its records from first to last. */
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import { segmentAt, timelineOf } from '../../source/postgres/wal/file-name.ts';
import { segmentFault, type SegmentPlace } from '../../source/postgres/wal/segment-header.ts';
import type { WalRun } from './wal-run.ts';
import { positionOfFault } from '../../source/postgres/wal/waldump.ts';
import { type DumpedWal, WalDump } from '../../source/postgres/wal/waldump-batches.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { NotFoundError } from '../../storage/storage.ts';
import type { PitrPlan } from './plan.ts';
import { holdsWhole } from '../wal/gaps.ts';
import { readSegment } from '../wal/segment.ts';

/**
 * Reads every segment that is needed, and its header. Throws `integrity` (14) naming all that are missing or damaged.
 */
export async function checkWal(
  repository: Repository,
  { needed, facts, inventory, run, place }: PitrPlan,
  { signal, emit }: RunContext,
): Promise<number> {
  const faults: string[] = [];
  const records = new WalDump({ programs: place.programs, quiet: true, segmentBytes: facts.walSegmentBytes, signal });
  const noteRecords = (dumped: DumpedWal | undefined): void =>
    void (dumped?.fault !== undefined && faults.push(recordFault(dumped.fault, dumped.first, facts)));
  for (const [n, name] of needed.entries()) {
    signal.throwIfAborted();
    if (n % 100 === 0) {
      emit({ type: 'step', component: 'base', message: `opening WAL segment ${n + 1} of ${needed.length}` });
    }
    try {
      const content = await readSegment(repository, inventory.systemId, name);
      const fault = segmentFault(content, placeOf(facts, run, n));
      if (fault !== undefined) faults.push(`${name}: ${fault}`);
      noteRecords(
        fault === undefined
          ? await records.add(name, content, { isUnfinished: !holdsWhole(inventory.log, name) })
          : await records.end(),
      );
    } catch (error) {
      noteRecords(await records.end());
      if (error instanceof NotFoundError) faults.push(`${name}: it is missing`);
      else if (error instanceof LifeboatError && error.code === 'integrity') {
        faults.push(`${name}: ${messageOf(error)}`);
      } else throw error;
    }
  }
  noteRecords(await records.end());
  if (faults.length > 0) {
    throw new LifeboatError(
      'integrity',
      'the WAL that is needed is not whole: ' +
        `${faults.slice(0, 10).join('; ')}${faults.length > 10 ? ` and ${faults.length - 10} more` : ''}`,
      {
        state: 'nothing was changed',
        hint: 'recover to a moment before it, or start from a later base backup',
        facts: { faults },
      },
    );
  }
  return needed.length;
}

/** With the segment that holds the record. */
function recordFault(fault: string, first: string, { walSegmentBytes }: BaseFacts): string {
  const position = positionOfFault(fault);
  const timeline = timelineOf(first);
  return `${position === undefined ? first : segmentAt(timeline, parseLsn(position), walSegmentBytes)}: ${fault}`;
}

function placeOf({ systemIdentifier, walSegmentBytes }: BaseFacts, { first }: WalRun, n: number): SegmentPlace {
  const position = (first + BigInt(n)) * BigInt(walSegmentBytes);
  return { systemId: systemIdentifier, segmentBytes: walSegmentBytes, position };
}
