/**
 * Whether log that a server was still writing is whole up to where it ends. pg_waldump calls what follows a damaged
 * record, in words of each version's own; here the bytes decide: behind the last record there is nothing but zeros, or
 * one that is cut at the end of a page, as a stream ends anywhere between two pages. Layout of pages and records:
 * access/xlog_internal.h and access/xlogrecord.h of PostgreSQL, the same from 13 to 19.
 */
import { longHeaderBytes, shortHeaderBytes } from './segment-header.ts';

const pageBytes = 8192n;
const recordHeaderBytes = 24;
const stepBytes = 1024 * 1024;

/** Whole segments of one timeline without a gap between them; what is missing of the last one is zeros. */
export interface Log {
  /** Where the first of them begins. */
  readonly position: bigint;
  readonly segmentBytes: number;
  readonly segments: readonly LogBytes[];
}

/** Of a segment: a Buffer, or a file that is read where it is asked. */
export interface LogBytes {
  readonly length: number;
  subarray(start: number, end: number): Buffer;
}

/** `lastGood`: where the last record begins that could be read. True: the log ends behind it. */
export function endsBehind(log: Log, lastGood: bigint): boolean {
  const end = endOfBytes(log);
  const next = behindRecord(log, lastGood);
  if (next === undefined) return false;
  return next >= end || isCut(log, next, end);
}

/** Of the last byte in it that is not zero, and the rest of its word. */
function endOfBytes({ position, segmentBytes, segments }: Log): bigint {
  const last = segments.at(-1) ?? Buffer.alloc(0);
  let length = 0;
  for (let end = last.length; length === 0 && end > 0; end -= stepBytes) {
    const start = Math.max(0, end - stepBytes);
    const filled = last.subarray(start, end).findLastIndex((byte) => byte !== 0) + 1;
    if (filled > 0) length = start + filled;
  }
  return position + BigInt((segments.length - 1) * segmentBytes + length);
}

/** Where the next record begins, if it begins there. Undefined: this one does not go on as it should. */
function behindRecord(log: Log, at: bigint): bigint | undefined {
  const size = BigInt(log.segmentBytes);
  // XLOG_SWITCH of resource manager 0: the rest of its segment is not used.
  const header = bytesAt(log, at, recordHeaderBytes);
  if (header?.[17] === 0 && ((header[16] ?? 0) & 0xf0) === 0x40) return afterHeader(log, (at / size + 1n) * size);
  const end = endOfRecord(log, at, at + size * BigInt(log.segments.length));
  if (end === undefined || end.isCut) return undefined;
  const aligned = (end.position + 7n) & ~7n;
  return aligned % pageBytes === 0n ? afterHeader(log, aligned) : aligned;
}

/** A record that goes on behind `end`, which then is the end of a page, and is sound up to there. */
function isCut(log: Log, at: bigint, end: bigint): boolean {
  const pageEnd = ((end + pageBytes - 1n) / pageBytes) * pageBytes;
  return endOfRecord(log, at, pageEnd)?.isCut === true;
}

interface RecordEnd {
  readonly position: bigint;
  /** It goes on behind the limit. */
  readonly isCut: boolean;
}

/** Follows a record from page to page up to `limit`. Undefined: a page says that another one goes on there. */
function endOfRecord(log: Log, at: bigint, limit: bigint): RecordEnd | undefined {
  const total = bytesAt(log, at, 4)?.readUInt32LE(0) ?? 0;
  if (total < recordHeaderBytes) return undefined;
  let [position, left] = [at, BigInt(total)];
  for (;;) {
    const pageEnd = (position / pageBytes + 1n) * pageBytes;
    if (position + left <= pageEnd) return { position: position + left, isCut: false };
    left -= pageEnd - position;
    if (pageEnd >= limit) return { position: pageEnd, isCut: true };
    if (bytesAt(log, pageEnd, shortHeaderBytes)?.readUInt32LE(16) !== Number(left)) return undefined;
    position = afterHeader(log, pageEnd);
  }
}

/** xlp_rem_len stands at 16 in a page's header. */
function afterHeader({ segmentBytes }: Log, page: bigint): bigint {
  return page + BigInt(page % BigInt(segmentBytes) === 0n ? longHeaderBytes : shortHeaderBytes);
}

/** Of one page. */
function bytesAt({ position, segmentBytes, segments }: Log, at: bigint, length: number): Buffer | undefined {
  const offset = Number(at - position);
  const segment = segments[Math.floor(offset / segmentBytes)];
  const from = offset % segmentBytes;
  return offset < 0 || segment === undefined || from + length > segment.length
    ? undefined
    : segment.subarray(from, from + length);
}
