/**
 * The header of a segment of write-ahead log, as PostgreSQL writes it in its first page (XLogLongPageHeaderData,
 * access/xlog_internal.h; integers in the order of the machine, little-endian on all that we run on).
 */
import { LifeboatError } from '../../lib/errors.ts';
import { parseWalName, segmentNumber, type WalName } from './names.ts';

export interface SegmentHeader {
  /** Major version of the server that wrote it. */
  readonly serverMajor: number;
  /** Of the first page: in the first segment of a timeline still that of the one before. */
  readonly timeline: number;
  /** In decimal. */
  readonly systemId: string;
  readonly segmentBytes: number;
}

const majors: ReadonlyMap<number, number> = new Map([
  [0xd106, 13],
  [0xd10d, 14],
  [0xd110, 15],
  [0xd113, 16],
  [0xd116, 17],
  [0xd118, 18],
]);
const longHeaderBytes = 40;
const longHeaderFlag = 2;
/** With the box around it a segment must fit into an object even if it does not shrink. */
const maxSegmentBytes = 32 * 1024 * 1024;

/**
 * Reads the header and checks that `body` is the segment that `file` says. Throws LifeboatError `integrity` naming what
 * does not fit.
 */
export function checkSegment(file: WalName, body: Buffer): SegmentHeader {
  const refuse = (reason: string): LifeboatError =>
    new LifeboatError('integrity', `${file.name} is not the segment its name says: ${reason}`, {
      state: 'it was not archived',
    });
  if (body.length < longHeaderBytes) throw refuse(`it has ${body.length} bytes`);
  const magic = body.readUInt16LE(0);
  const serverMajor = majors.get(magic);
  if (serverMajor === undefined) {
    throw refuse(`its magic number ${magic.toString(16).toUpperCase()} is that of no PostgreSQL from 13 to 18`);
  }
  if ((body.readUInt16LE(2) & longHeaderFlag) === 0) throw refuse('it does not begin with a long page header');
  const timeline = body.readUInt32LE(4);
  const segmentBytes = body.readUInt32LE(32);
  if (segmentBytes < 1024 * 1024 || (segmentBytes & (segmentBytes - 1)) !== 0) {
    throw refuse(`it claims segments of ${segmentBytes} bytes`);
  }
  if (segmentBytes > maxSegmentBytes) {
    throw new LifeboatError('usage', `segments of ${segmentBytes} bytes are larger than an object may be`, {
      hint: 'use a cluster with --wal-segsize of 32 MB or less',
    });
  }
  if (body.length !== segmentBytes) throw refuse(`it has ${body.length} bytes, not ${segmentBytes}`);
  if (timeline > file.timeline) throw refuse(`it begins on timeline ${timeline}`);
  const address = segmentNumber(file.segment ?? '', segmentBytes) * BigInt(segmentBytes);
  if (body.readBigUInt64LE(8) !== address) {
    throw refuse(
      `its first page is that of position ${body.readBigUInt64LE(8).toString(16)}, not ${address.toString(16)}`,
    );
  }
  return { serverMajor, timeline, systemId: body.readBigUInt64LE(24).toString(), segmentBytes };
}

/**
 * What a file hands over beside its name: segments and `.partial` ones are checked, histories and backup labels must be
 * text.
 */
export function checkWalFile(name: WalName, body: Buffer): SegmentHeader | undefined {
  if (name.kind === 'segment' || name.kind === 'partial') return checkSegment(name, body);
  if (body.length === 0 || body.includes(0)) {
    throw new LifeboatError('integrity', `${name.name} is no text`, { state: 'it was not archived' });
  }
  return undefined;
}

/** True for a name that archive_command may be called with. */
export function isArchivable(name: string): boolean {
  const kind = parseWalName(name)?.kind;
  return kind !== undefined && kind !== 'unfinished';
}
