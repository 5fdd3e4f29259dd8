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
import { headOf, openSegment, verifyWhole } from '../wal/segment.ts';

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
  const ofRecords = (dumped: DumpedWal | undefined): string[] =>
    dumped?.fault === undefined ? [] : [recordFault(dumped.fault, dumped.first, facts)];
  const faultsIn = async (name: string, segment: SegmentPlace): Promise<string[]> => {
    try {
      const content = await openSegment(repository, inventory.systemId, name);
      const fault = segmentFault(await headOf(content), segment, content.bytes);
      await verifyWhole(content);
      if (fault !== undefined) return [`${name}: ${fault}`, ...ofRecords(await records.end())];
      return ofRecords(await records.add(name, content, { isUnfinished: !holdsWhole(inventory.log, name) }));
    } catch (error) {
      return [...ofRecords(await records.end()), `${name}: ${whyUnread(error)}`];
    }
  };
  for (const [n, name] of needed.entries()) {
    signal.throwIfAborted();
    if (n % 100 === 0) {
      emit({ type: 'step', component: 'base', message: `opening WAL segment ${n + 1} of ${needed.length}` });
    }
    faults.push(...(await faultsIn(name, placeOf(facts, run, n))));
  }
  faults.push(...ofRecords(await records.end()));
  if (faults.length > 0) throw notWhole(faults);
  return needed.length;
}

/** Throws what is no damage. */
function whyUnread(error: unknown): string {
  if (error instanceof NotFoundError) return 'it is missing';
  if (error instanceof LifeboatError && error.code === 'integrity') return messageOf(error);
  throw error;
}

function notWhole(faults: readonly string[]): LifeboatError {
  const more = faults.length > 10 ? ` and ${faults.length - 10} more` : '';
  return new LifeboatError(
    'integrity',
    `the WAL that is needed is not whole: ${faults.slice(0, 10).join('; ')}${more}`,
    {
      state: 'nothing was changed',
      hint: 'recover to a moment before it, or start from a later base backup',
      facts: { faults },
    },
  );
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
