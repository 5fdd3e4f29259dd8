/** Which segments of write-ahead log belong to a base backup. */
import { segmentNumber } from '../../source/postgres/wal/file-name.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';

/** The numbers of the segments that hold a base backup's WAL, first and last. */
export function segmentsOfBase({ startLsn, stopLsn, walSegmentBytes }: BaseFacts): {
  readonly first: bigint;
  readonly last: bigint;
} {
  return {
    first: parseLsn(startLsn) / BigInt(walSegmentBytes),
    last: (parseLsn(stopLsn) - 1n) / BigInt(walSegmentBytes),
  };
}

/** Whether a segment is part of the log that a base backup cannot do without. */
export function isOfBase(facts: BaseFacts, { timeline, segment }: { timeline: number; segment: string }): boolean {
  const number = segmentNumber(segment, facts.walSegmentBytes);
  const { first, last } = segmentsOfBase(facts);
  return facts.timeline === timeline && first <= number && number <= last;
}
