/**
 * Names of the files in PostgreSQL's pg_wal, and the arithmetic of segments: which one holds a position, which follows
 * which (XLogFileName and its like, access/xlog_internal.h). Numbers of segments go on over timelines.
 */

/** `partial`: what a promotion left of the old timeline's last segment. */
export type WalFileKind = 'segment' | 'partial' | 'history' | 'backup';

export interface WalFileName {
  readonly name: string;
  readonly kind: WalFileKind;
  readonly timeline: number;
  /** The 24 digits of the segment; undefined for history files. */
  readonly segment: string | undefined;
}

const ofTimeline = /^([0-9A-F]{8})\.history$/;
const ofSegment = /^([0-9A-F]{24})(\.partial|\.[0-9A-F]{8}\.backup)?$/;

/** What a file name stands for; undefined if PostgreSQL gives no file of write-ahead log such a name. */
export function parseWalFileName(name: string): WalFileName | undefined {
  const [, segment, suffix] = ofSegment.exec(name) ?? [];
  if (segment !== undefined) {
    const kind = suffix === undefined ? 'segment' : suffix === '.partial' ? 'partial' : 'backup';
    return { name, kind, timeline: timelineOf(segment), segment };
  }
  const history = ofTimeline.exec(name)?.[1];
  return history === undefined
    ? undefined
    : { name, kind: 'history', timeline: timelineOf(history), segment: undefined };
}

/** The timeline that the name of a segment or a history begins with. */
export function timelineOf(name: string): number {
  return Number.parseInt(name.slice(0, 8), 16);
}

/** The eight digits of a timeline, as names begin with them. */
export function timelineDigits(timeline: number): string {
  return eightDigits(timeline);
}

/** Name of the file that tells where a timeline left its ancestors. */
export function historyName(timeline: number): string {
  return `${eightDigits(timeline)}.history`;
}

/** Number of a segment, counted from the start of the log. */
export function segmentNumber(segment: string, segmentBytes: number): bigint {
  const [log, low] = [segment.slice(8, 16), segment.slice(16, 24)];
  return BigInt(`0x${log}`) * segmentsPerLog(segmentBytes) + BigInt(`0x${low}`);
}

/** Name of the segment with that number. */
export function segmentName(timeline: number, number: bigint, segmentBytes: number): string {
  const perLog = segmentsPerLog(segmentBytes);
  return `${eightDigits(timeline)}${eightDigits(number / perLog)}${eightDigits(number % perLog)}`;
}

/** Name of the segment that holds the byte at `lsn`. */
export function segmentAt(timeline: number, lsn: bigint, segmentBytes: number): string {
  return segmentName(timeline, lsn / BigInt(segmentBytes), segmentBytes);
}

function segmentsPerLog(segmentBytes: number): bigint {
  return 2n ** 32n / BigInt(segmentBytes);
}

function eightDigits(value: number | bigint): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}
