/**
 * Records of write-ahead log, looked for in its bytes: restore points by name, and paths of tablespaces. Much faster
 * than pg_waldump, and done without it; what is found may rarely be something that looks alike.
 */
import { longHeaderBytes, shortHeaderBytes } from './segment-header.ts';

const pageBytes = 8192;
const recordHeaderBytes = 24;
/** A record's header, the header of its data, the tablespace's oid and a path of PostgreSQL's MAXPGPATH. */
const longestTablespaceBytes = recordHeaderBytes + 5 + 4 + 1024 + 8;
/** So much of what was read before is to be kept and put before the next segment: a record may go on in that one. */
export const carriedBytes = longestTablespaceBytes - (longestTablespaceBytes % 8);

/** The records in pages of a segment as one stream, from where its first page says; `isFirst`: it begins with them. */
export function withoutPageHeaders(piece: Buffer, isFirst = true): Buffer {
  const pages: Buffer[] = [];
  for (let at = 0; at < piece.length; at += pageBytes) {
    pages.push(piece.subarray(at + (isFirst && at === 0 ? longHeaderBytes : shortHeaderBytes), at + pageBytes));
  }
  return Buffer.concat(pages);
}

/**
 * Where in log without page headers the names of such restore points stand. XLOG (resource manager 0), info 0x70:
 * header of 24 bytes, 0xFF and the length, 8 bytes of time, the name with zeros behind it.
 */
export function restorePointsIn(payload: Buffer, name: string): number[] {
  const wanted = Buffer.from(`${name}\0`);
  const found: number[] = [];
  for (let at = payload.indexOf(wanted); at !== -1; at = payload.indexOf(wanted, at + 1)) {
    const header = at - 8 - 2 - recordHeaderBytes;
    if (header < 0 || payload[at - 10] !== 0xff || payload[at - 9] !== 72) continue;
    if (payload[header + 17] === 0 && ((payload[header + 16] ?? 0) & 0xf0) === 0x70) found.push(at);
  }
  return found;
}

/**
 * Paths of the tablespaces that are created in log without page headers (XLOG_TBLSPC_CREATE of PostgreSQL's
 * commands/tablespace.h). All records begin at multiples of eight bytes.
 */
export function createdTablespaces(payload: Buffer): string[] {
  const paths: string[] = [];
  for (let at = 0; at + 32 < payload.length; at += 8) {
    const path = tablespaceAt(payload, at);
    if (path !== undefined) paths.push(path);
  }
  return paths;
}

/** Kind 0 of resource manager 5, two bytes of padding; behind the checksum short data: its length, an oid, the path. */
function tablespaceAt(payload: Buffer, at: number): string | undefined {
  if (payload[at + 17] !== 5 || (payload[at + 16] ?? 0) >> 4 !== 0 || payload.readUInt16LE(at + 18) !== 0) {
    return undefined;
  }
  const totalBytes = payload.readUInt32LE(at);
  const isShort = payload[at + 24] === 255;
  if (!isShort && payload[at + 24] !== 254) return undefined;
  const dataAt = at + (isShort ? 26 : 29);
  const dataBytes = isShort ? payload[at + 25] : payload.readUInt32LE(at + 25);
  const isOne = dataBytes !== undefined && totalBytes === dataAt - at + dataBytes;
  if (!isOne || totalBytes > longestTablespaceBytes || at + totalBytes > payload.length) return undefined;
  const path = payload.toString('utf8', dataAt + 4, at + totalBytes - 1);
  return path.startsWith('/') && payload[at + totalBytes - 1] === 0 ? path : undefined;
}
