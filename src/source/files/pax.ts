/**
 * Pax records: what the plain header of a tar member cannot hold (names that are long or not ASCII, large numbers,
 * times with nanoseconds), as "<length> <key>=<value>" on bytes.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import type { TarMember } from './member.ts';
import { damaged, splitPath } from './ustar-block.ts';

const empty = Buffer.alloc(0);

/** What GNU tar's sparse format 1.0 calls its records. */
export const sparseKeys = {
  major: 'GNU.sparse.major',
  minor: 'GNU.sparse.minor',
  name: 'GNU.sparse.name',
  length: 'GNU.sparse.realsize',
} as const;

/**
 * What the plain header, whose name is `path`, cannot hold. A name that is neither plain ASCII nor UTF-8 is marked as
 * bytes (hdrcharset=BINARY).
 */
export function paxRecords(member: TarMember, path: Buffer): Buffer {
  const records = sparseRecords(member);
  const link = member.link ?? empty;
  const longPath = splitPath(path) === undefined;
  const longLink = link.length > 100;
  // A short name that is not UTF-8 goes into the plain header alone, as GNU tar has it: it knows no hdrcharset.
  const paxPath = longPath || (!isAscii(path) && isUtf8(path));
  const paxLink = longLink || (!isAscii(link) && isUtf8(link));
  const binary = member.length !== undefined && !isUtf8(member.path);
  if (binary || (paxPath && !isUtf8(path)) || (paxLink && !isUtf8(link))) records.push(record('hdrcharset', 'BINARY'));
  if (paxPath) records.push(record('path', path));
  if (paxLink) records.push(record('linkpath', link));
  if (
    member.mtimeNs < 0n ||
    member.mtimeNs % 1_000_000_000n !== 0n ||
    member.mtimeNs > 0o77777777777n * 1_000_000_000n
  ) {
    records.push(record('mtime', formatTime(member.mtimeNs)));
  }
  if (member.size > 0o77777777777) records.push(record('size', String(member.size)));
  if (member.uid > 0o7777777) records.push(record('uid', String(member.uid)));
  if (member.gid > 0o7777777) records.push(record('gid', String(member.gid)));
  if (needsPax(member.user)) records.push(record('uname', member.user));
  if (needsPax(member.group)) records.push(record('gname', member.group));
  return records.length === 0 ? empty : Buffer.concat(records);
}

function sparseRecords({ path, length }: TarMember): Buffer[] {
  if (length === undefined) return [];
  return [
    record(sparseKeys.major, '1'),
    record(sparseKeys.minor, '0'),
    record(sparseKeys.name, path),
    record(sparseKeys.length, String(length)),
  ];
}

function needsPax(name: string): boolean {
  return name.length > 31 || !isAscii(Buffer.from(name));
}

/** "<length> <key>=<value>\n", where the length counts itself. */
function record(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** Throws (integrity) for what is not laid out as records. */
export function parsePax(body: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at);
    const length = space === -1 ? Number.NaN : Number(body.toString('latin1', at, space));
    const equals = body.indexOf(0x3d, space);
    const end = at + length;
    if (
      !Number.isSafeInteger(length) ||
      equals === -1 ||
      equals >= end ||
      end > body.length ||
      body[end - 1] !== 0x0a
    ) {
      throw damaged('a pax header cannot be read');
    }
    records.set(body.toString('utf8', space + 1, equals), body.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** Undefined for a record that is not there. Throws (integrity) for what is no size or id. */
export function readNumber(value: Buffer | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value.toString('latin1'));
  if (!Number.isSafeInteger(number) || number < 0) throw damaged('a number in a pax header cannot be read');
  return number;
}

/** Nanoseconds as decimal seconds, exactly: "-1.5". */
function formatTime(ns: bigint): string {
  const absolute = ns < 0n ? -ns : ns;
  const fraction = String(absolute % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${ns < 0n ? '-' : ''}${absolute / 1_000_000_000n}${fraction === '' ? '' : `.${fraction}`}`;
}

/** Nanoseconds. Throws (integrity) for what is no time. */
export function parseTime(text: string): bigint {
  const match = /^(-?)(\d{1,20})(?:\.(\d{1,9})\d{0,20})?$/.exec(text);
  if (match === null) throw damaged('a time in a pax header cannot be read');
  const ns = BigInt(match[2] ?? '0') * 1_000_000_000n + BigInt((match[3] ?? '').padEnd(9, '0'));
  return match[1] === '-' ? -ns : ns;
}
