/**
 * The header of a segment of write-ahead log, as PostgreSQL writes it in its first page (XLogLongPageHeaderData,
 * access/xlog_internal.h; integers in the order of the machine, little-endian on all that we run on).
 */
import { knownMajors, majorOf } from './known-majors.ts';
import { formatLsn } from './lsn.ts';

export interface SegmentHeader {
  /** Major version of the server that wrote it. */
  readonly serverMajor: number;
  /** Of the first page: in the first segment of a timeline still that of the one before. */
  readonly timeline: number;
  /** Where it begins. */
  readonly position: bigint;
  /** In decimal. */
  readonly systemId: string;
  readonly segmentBytes: number;
}

/** Bytes of the header of a segment's first page, and of every other page. */
export const longHeaderBytes = 40;
export const shortHeaderBytes = 24;

const longHeaderFlag = 2;
const minSegmentBytes = 1024 * 1024;

/** Reads it; `fault` says in one phrase why it is not one. The rest of the segment need not be there. */
export function readSegmentHeader(segment: Buffer): SegmentHeader | { readonly fault: string } {
  if (segment.length < longHeaderBytes) return { fault: `it has ${segment.length} bytes` };
  const magic = segment.readUInt16LE(0);
  const serverMajor = majorOf(magic);
  if (serverMajor === undefined) {
    const hex = magic.toString(16).toUpperCase();
    return { fault: `its magic number ${hex} is that of no PostgreSQL from ${knownMajors}` };
  }
  if ((segment.readUInt16LE(2) & longHeaderFlag) === 0) return { fault: 'it does not begin with a long page header' };
  const segmentBytes = segment.readUInt32LE(32);
  if (segmentBytes < minSegmentBytes || (segmentBytes & (segmentBytes - 1)) !== 0) {
    return { fault: `it claims segments of ${segmentBytes} bytes` };
  }
  return {
    serverMajor,
    timeline: segment.readUInt32LE(4),
    position: positionOf(segment),
    systemId: systemIdOf(segment),
    segmentBytes,
  };
}

/** Where a segment should begin, and whose it should be. */
export interface SegmentPlace {
  /** In decimal. */
  readonly systemId: string;
  readonly segmentBytes: number;
  readonly position: bigint;
}

/**
 * What is wrong with a segment that should be the one at a place: its size, who wrote it, where it belongs. `head`: at
 * least the beginning of one that has so many `bytes`.
 */
export function segmentFault(
  head: Buffer,
  { systemId, segmentBytes, position }: SegmentPlace,
  bytes = head.length,
): string | undefined {
  if (bytes !== segmentBytes) return `it has ${bytes} bytes, not ${segmentBytes}`;
  const [address, system] = [positionOf(head), systemIdOf(head)];
  if (system !== systemId) return `it comes from another cluster (${system})`;
  return address === position ? undefined : `it begins at ${formatLsn(address)}, not at ${formatLsn(position)}`;
}

function positionOf(segment: Buffer): bigint {
  return segment.readBigUInt64LE(8);
}

function systemIdOf(segment: Buffer): string {
  return segment.readBigUInt64LE(24).toString();
}
