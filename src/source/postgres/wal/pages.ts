/**
 * Whether the pages of a segment are those of its place: each begins with the magic number of the first one and its own
 * position (XLogPageHeaderData, access/xlog_internal.h). Pages behind the end of writing are zeros.
 */
import { formatLsn } from './lsn.ts';

const pageSizeAt = 36;
const headerStart = 16;

/**
 * What is wrong with the first page that does not belong there. `piece`: pages of a segment from its place `start` on;
 * `head`: the segment's beginning, its own header checked already.
 */
export function pageFault(piece: Buffer, { head = piece, start = 0 } = {}): string | undefined {
  const pageBytes = head.readUInt32LE(pageSizeAt);
  if (pageBytes < 1024 || pageBytes > 65_536 || piece.length % pageBytes !== 0) {
    return `it claims pages of ${pageBytes} bytes`;
  }
  const [magic, position] = [head.readUInt16LE(0), head.readBigUInt64LE(8) + BigInt(start)];
  for (let at = start === 0 ? pageBytes : 0; at < piece.length; at += pageBytes) {
    if (isZero(piece.subarray(at, at + headerStart))) continue;
    const expected = position + BigInt(at);
    const found = piece.readBigUInt64LE(at + 8);
    if (piece.readUInt16LE(at) !== magic || found !== expected) {
      return `the page at ${formatLsn(expected)} begins as that of ${formatLsn(found)}`;
    }
  }
  return undefined;
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
