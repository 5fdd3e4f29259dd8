/**
 * Whether the pages of a segment are those of its place: each begins with the magic number of the first one and its own
 * position (XLogPageHeaderData, access/xlog_internal.h). Pages behind the end of writing are zeros.
 */
import { formatLsn } from './lsn.ts';

const pageSizeAt = 36;
const headerStart = 16;

/** What is wrong with the first page that does not belong there; `segment`: whole, its own header checked already. */
export function pageFault(segment: Buffer): string | undefined {
  const pageBytes = segment.readUInt32LE(pageSizeAt);
  if (pageBytes < 1024 || pageBytes > 65_536 || segment.length % pageBytes !== 0) {
    return `it claims pages of ${pageBytes} bytes`;
  }
  const [magic, position] = [segment.readUInt16LE(0), segment.readBigUInt64LE(8)];
  for (let at = pageBytes; at < segment.length; at += pageBytes) {
    if (isZero(segment.subarray(at, at + headerStart))) continue;
    const expected = position + BigInt(at);
    const found = segment.readBigUInt64LE(at + 8);
    if (segment.readUInt16LE(at) !== magic || found !== expected) {
      return `the page at ${formatLsn(expected)} begins as that of ${formatLsn(found)}`;
    }
  }
  return undefined;
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
