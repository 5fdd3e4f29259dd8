/**
 * Which segments a recovery needs: up to its target, as far as that is known beforehand; and what is said of a target
 * behind their end.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { formatLsn, parseLsn } from '../../source/postgres/wal/lsn.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { formatMicroseconds, type PitrTarget } from './moment.ts';
import { findRestorePoint, type RunEnd } from './run-contents.ts';
import type { WalRun } from './wal-run.ts';
import { marksIn } from '../../source/postgres/wal/dumped-records.ts';
import { type DumpedWal, WalDump } from '../../source/postgres/wal/waldump-batches.ts';
import { openSegment } from '../wal/segment.ts';
import { segmentsOfBase } from '../wal/base-segments.ts';

export interface Reach {
  readonly facts: BaseFacts;
  readonly run: WalRun;
  readonly end: RunEnd;
  readonly target: PitrTarget;
  readonly inclusive: boolean;
  /** Folder with pg_waldump. */
  readonly programs: string;
}

/** Segments up to the target; undefined if it is not in this run. Throws `window` for what lies behind its end. */
export async function neededFor(
  repository: Repository,
  reach: Reach,
  context: RunContext,
): Promise<readonly string[] | undefined> {
  const { facts, run, end, target, inclusive, programs } = reach;
  const size = BigInt(facts.walSegmentBytes);
  const upTo = (number: bigint): readonly string[] => run.names.slice(0, Number(number - run.first) + 1);
  if (target.kind === 'immediate') return upTo(segmentsOfBase(facts).last);
  // The server would ask for what is missing, and the recovery fail after hours.
  if (target.kind === 'latest' && run.missing !== undefined) throw behindTheEnd(reach);
  if (target.kind === 'name') {
    const place = await findRestorePoint(
      repository,
      facts.systemIdentifier,
      run,
      { name: target.name, afterLsn: parseLsn(facts.stopLsn), segmentBytes: facts.walSegmentBytes },
      context,
    );
    if (place === undefined && run.missing !== undefined) throw behindTheEnd(reach);
    return place === undefined ? undefined : run.names.slice(0, place + 1);
  }
  if (target.kind === 'xid') {
    const place = await findTransaction(repository, facts, run, { xid: target.xid, programs }, context);
    if (place === undefined && run.missing !== undefined) throw behindTheEnd(reach);
    return place === undefined ? undefined : run.names.slice(0, place + 1);
  }
  if (target.kind === 'lsn') {
    if (end.lastRecordLsn === undefined || target.lsn > end.lastRecordLsn) throw behindTheEnd(reach);
    return upTo(target.lsn / size);
  }
  // Recovery stops at the first commit that is later; without one it would run out of WAL.
  if (
    target.kind === 'time' &&
    (end.lastCommitUs === undefined ||
      target.atUs > end.lastCommitUs ||
      (inclusive && target.atUs === end.lastCommitUs))
  ) {
    throw behindTheEnd(reach);
  }
  return run.names;
}

function behindTheEnd({ run, end, target, facts }: Reach): LifeboatError {
  const last = end.lastCommitUs === undefined ? undefined : formatMicroseconds(end.lastCommitUs - 1n);
  const lsn = end.lastRecordLsn === undefined ? undefined : formatLsn(end.lastRecordLsn);
  const why =
    run.damage?.message ??
    (run.missing === undefined
      ? 'the archived WAL ends before'
      : `the archived WAL has a gap before: ${run.missing} is missing`);
  const nearest =
    target.kind === 'lsn' || target.kind === 'latest' ? (lsn === undefined ? undefined : `lsn:${lsn}`) : last;
  const possible = nearest ?? `the end of the base backup (${facts.stoppedAt}): --to immediate`;
  const all = nearest === undefined || run.missing !== undefined ? '' : '; or all that there is: --to latest';
  return new LifeboatError(
    run.damage === undefined ? 'window' : 'integrity',
    `cannot recover to ${target.text}: ${why}`,
    {
      state: 'nothing was changed',
      hint: `the latest possible moment is ${possible}${all}`,
      facts: { earliest: facts.stoppedAt, latest: last, latestLsn: lsn, missing: run.missing },
    },
  );
}

interface WantedTransaction {
  /** With or without its epoch: the log knows the lower 32 bits. */
  readonly xid: bigint;
  /** Folder with pg_waldump of the cluster's version. */
  readonly programs: string;
}

/**
 * A recovery to a transaction that is not in the log would say so only after it has replayed everything: so it is
 * looked for first. The place in the run of the last segment that is needed for the commit or abort of a transaction;
 * undefined if the run does not hold it.
 */
async function findTransaction(
  repository: Repository,
  facts: BaseFacts,
  run: WalRun,
  { xid, programs }: WantedTransaction,
  { signal, emit }: RunContext,
): Promise<number | undefined> {
  const wanted = BigInt.asUintN(32, xid);
  let hasEnded = false;
  const onText = (text: string): void => {
    hasEnded ||= marksIn(text).some((mark) => mark.kind === 'end' && mark.xids[0] === wanted);
  };
  const segmentBytes = facts.walSegmentBytes;
  const dump = new WalDump({ programs, manager: 'Transaction', segmentBytes, onText, signal });
  // A record that goes on in the next segment is found with it.
  const placeIn = (dumped: DumpedWal | undefined): number | undefined =>
    dumped !== undefined && hasEnded ? run.names.indexOf(dumped.last) : undefined;
  for (const [n, name] of run.names.entries()) {
    if (n % 100 === 0) {
      emit({
        type: 'step',
        component: 'base',
        message: `looking for transaction ${xid} in WAL segment ${n + 1} of ${run.names.length}`,
      });
    }
    const place = placeIn(await dump.add(name, await openSegment(repository, facts.systemIdentifier, name)));
    if (place !== undefined) return place;
  }
  return placeIn(await dump.end());
}
