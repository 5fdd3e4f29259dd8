/**
 * Names of PostgreSQL's write-ahead log: which file a name stands for, where it lies in the repository,
 * which segment follows which. Layout of wal/: man lifeboat-repository(7), "Objects".
 */
import { LifeboatError } from '../../lib/errors.ts';

/**
 * `partial`: what a promotion left of the old timeline's last segment. `unfinished`: a segment that was still
 * being written, up to the LSN in its name; no name of PostgreSQL's, only of `wal stream`.
 */
export type WalKind = 'segment' | 'partial' | 'unfinished' | 'history' | 'backup';

export interface WalName {
  readonly name: string;
  readonly kind: WalKind;
  readonly timeline: number;
  /** The 24 digits of the segment; undefined for history files. */
  readonly segment: string | undefined;
  /** Of `unfinished` only: flushed up to here. */
  readonly lsn: bigint | undefined;
}

const pattern =
  /^(?:([0-9A-F]{8})\.history|([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial|\.([0-9A-F]{16})\.partial|\.[0-9A-F]{8}\.backup)?)$/;

/** What a file name stands for; undefined if it is none of write-ahead log. */
export function parseWalName(name: string): WalName | undefined {
  const [, history, timeline, log, low, suffix, lsn] = pattern.exec(name) ?? [];
  if (history !== undefined) {
    return { name, kind: 'history', timeline: Number.parseInt(history, 16), segment: undefined, lsn: undefined };
  }
  if (timeline === undefined || log === undefined || low === undefined) return undefined;
  const kind: WalKind =
    suffix === undefined ? 'segment' : lsn !== undefined ? 'unfinished' : suffix === '.partial' ? 'partial' : 'backup';
  return {
    name,
    kind,
    timeline: Number.parseInt(timeline, 16),
    segment: `${timeline}${log}${low}`,
    lsn: lsn === undefined ? undefined : BigInt(`0x${lsn}`),
  };
}

/** The same for a name that must be one. Throws LifeboatError `usage`. */
export function needWalName(name: string): WalName {
  const parsed = parseWalName(name);
  if (parsed === undefined) {
    throw new LifeboatError('usage', `${JSON.stringify(name)} is no name of a write-ahead log file`, {
      hint: 'PostgreSQL passes it: %p to wal push, %f and %p to wal fetch',
    });
  }
  return parsed;
}

/** Its key in the repository. `systemId` in decimal. */
export function walKey(systemId: string, { name, kind, timeline, segment = '' }: WalName): string {
  if (kind === 'history' || kind === 'backup') return `wal/${systemId}/history/${name}.wal`;
  return `${timelinePrefix(systemId, timeline)}${segment.slice(8, 16)}/${name}.wal`;
}

/** Prefix of all segments of a timeline, with a slash at its end. */
export function timelinePrefix(systemId: string, timeline: number): string {
  return `wal/${systemId}/${hex(timeline)}/`;
}

/** The file and system that a key under wal/ stands for; undefined for foreign objects. */
export function parseWalKey(key: string): { readonly systemId: string; readonly file: WalName } | undefined {
  const [, systemId, name] = /^wal\/(\d{1,20})\/(?:history|[0-9A-F]{8}\/[0-9A-F]{8})\/([^/]+)\.wal$/.exec(key) ?? [];
  const file = name === undefined ? undefined : parseWalName(name);
  return systemId === undefined || file === undefined || walKey(systemId, file) !== key
    ? undefined
    : { systemId, file };
}

/** Number of a segment, counted from the start of the log; it goes on over timelines. */
export function segmentNumber(segment: string, segmentBytes: number): bigint {
  return (
    BigInt(`0x${segment.slice(8, 16)}`) * (2n ** 32n / BigInt(segmentBytes)) + BigInt(`0x${segment.slice(16, 24)}`)
  );
}

/** Name of the segment with that number. */
export function segmentName(timeline: number, number: bigint, segmentBytes: number): string {
  const perLog = 2n ** 32n / BigInt(segmentBytes);
  return `${hex(timeline)}${hex(number / perLog)}${hex(number % perLog)}`;
}

/** Name of the segment that holds the byte at `lsn`. */
export function segmentAt(timeline: number, lsn: bigint, segmentBytes: number): string {
  return segmentName(timeline, lsn / BigInt(segmentBytes), segmentBytes);
}

/** "16/B374D848" as a number. Throws LifeboatError `usage`. */
export function parseLsn(text: string): bigint {
  const [, high, low] = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text) ?? [];
  if (high === undefined || low === undefined) {
    throw new LifeboatError('usage', `"${text}" is no position in the write-ahead log`, {
      hint: 'write it as PostgreSQL does: 16/B374D848',
    });
  }
  return BigInt(`0x${high}`) * 2n ** 32n + BigInt(`0x${low}`);
}

/** As PostgreSQL writes it. */
export function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}

function hex(value: number | bigint): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}
