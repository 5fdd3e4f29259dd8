/**
 * Names of the archive of write-ahead log: which file a name stands for, and where it lies in the repository.
 * Layout of wal/: man lifeboat-repository(7), "Objects".
 */
import { LifeboatError } from '../../lib/errors.ts';
import {
  parseWalFileName,
  timelineDigits,
  timelineOf,
  type WalFileKind,
  type WalFileName,
} from '../../source/postgres/wal/file-name.ts';

/**
 * `part`: of a segment that is too large for one object; see large.ts. `unfinished`: a segment that was still being
 * written, up to the LSN in its name. Neither is a name of PostgreSQL's.
 */
export type WalKind = WalFileKind | 'unfinished' | 'part';

/** A name of PostgreSQL's, or one of an unfinished segment. */
export interface WalName extends Omit<WalFileName, 'kind'> {
  readonly kind: WalKind;
  /** Of `unfinished` and its own part only: flushed up to here. */
  readonly lsn: bigint | undefined;
}

const unfinished = /^([0-9A-F]{24})\.([0-9A-F]{16})\.partial$/;

const part = /^([0-9A-F]{24})(?:(?:\.([0-9A-F]{16}))?\.partial)?\.part[0-9]{2}$/;

/** What a file name stands for; undefined if it is not a file of write-ahead log. */
export function parseWalName(name: string): WalName | undefined {
  const file = parseWalFileName(name);
  if (file !== undefined) return { ...file, lsn: undefined };
  const kind = part.test(name) ? 'part' : 'unfinished';
  const [, segment, lsn] = part.exec(name) ?? unfinished.exec(name) ?? [];
  if (segment === undefined) return undefined;
  const reached = lsn === undefined ? undefined : BigInt(`0x${lsn}`);
  return { name, kind, timeline: timelineOf(segment), segment, lsn: reached };
}

/** The same for a name that must be one. Throws LifeboatError `usage`. */
export function needWalName(name: string): WalName {
  const parsed = parseWalName(name);
  if (parsed === undefined) {
    throw new LifeboatError('usage', `${JSON.stringify(name)} is not the name of a write-ahead log file`, {
      hint: 'PostgreSQL passes it: %p to wal push, %f and %p to wal fetch',
    });
  }
  return parsed;
}

/** Name of what has come of a segment that is still being written, up to `lsn`. */
export function unfinishedName(segment: string, lsn: bigint): string {
  return `${segment}.${lsn.toString(16).toUpperCase().padStart(16, '0')}.partial`;
}

/** Name of part `n` of a file of log, counted from 0. By name parts come before the file itself. */
export function partName(file: string, n: number): string {
  return `${file}.part${String(n).padStart(2, '0')}`;
}

/** Its key in the repository. `systemId` in decimal. */
export function walKey(systemId: string, { name, kind, timeline, segment = '' }: WalName): string {
  if (kind === 'history' || kind === 'backup') return `wal/${systemId}/history/${name}.wal`;
  return `${timelinePrefix(systemId, timeline)}${segment.slice(8, 16)}/${name}.wal`;
}

/** Prefix of all segments of a timeline, with a slash at its end. */
export function timelinePrefix(systemId: string, timeline: number): string {
  return `wal/${systemId}/${timelineDigits(timeline)}/`;
}

/** The file and system that a key under wal/ stands for; undefined for foreign objects. */
export function parseWalKey(key: string): { readonly systemId: string; readonly file: WalName } | undefined {
  const [, systemId, name] = /^wal\/(\d{1,20})\/(?:history|[0-9A-F]{8}\/[0-9A-F]{8})\/([^/]+)\.wal$/.exec(key) ?? [];
  const file = name === undefined ? undefined : parseWalName(name);
  return systemId === undefined || file === undefined || walKey(systemId, file) !== key
    ? undefined
    : { systemId, file };
}
