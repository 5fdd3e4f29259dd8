/**
 * Headers of the POSIX pax tar format, both ways, on bytes. The `tar` package's Header and Pax take and
 * give strings: a name that is not UTF-8 is mangled, a newline in a name ends its pax record, and times
 * become Dates without nanoseconds. So these are our own, and as plain as the format: GNU tar and
 * bsdtar extract what we write.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { LifeboatError } from '../../lib/errors.ts';
import type { Device, EntryType, TarMember } from './member.ts';

export const blockBytes = 512;

const typeFlags: Readonly<Record<EntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  folder: '5',
};
const paxFlag = 'x';
const empty = Buffer.alloc(0);

/** Bytes of zeros that fill content of `size` bytes up to a whole block. */
export function paddingOf(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes;
}

/**
 * The header blocks of a member: a pax header (when something does not fit the plain one, so for nearly all times) and
 * the plain one.
 */
export function encodeTarHeader(member: TarMember): Buffer {
  const path = member.type === 'folder' ? Buffer.concat([member.path, Buffer.from('/')]) : member.path;
  const records = paxRecords(member, path);
  const paxBytes = records.length === 0 ? 0 : blockBytes + records.length + paddingOf(records.length);
  const header = Buffer.alloc(paxBytes + blockBytes);
  const seconds = Number(floorSeconds(member.mtimeNs));
  if (paxBytes > 0) {
    const name = Buffer.concat([Buffer.from('PaxHeaders/'), lastBytes(member.path, 80)]);
    writeBlock(header.subarray(0, blockBytes), {
      name,
      typeFlag: paxFlag,
      mode: 0o644,
      uid: 0,
      gid: 0,
      size: records.length,
      seconds,
      link: empty,
      user: '',
      group: '',
      device: undefined,
    });
    records.copy(header, blockBytes);
  }
  const { mode, uid, gid, size, user, group, device } = member;
  const typeFlag = typeFlags[member.type];
  writeBlock(header.subarray(paxBytes), {
    name: path,
    typeFlag,
    mode,
    uid,
    gid,
    size,
    seconds,
    link: member.link ?? empty,
    user,
    group,
    device,
  });
  return header;
}

/** Reads the header blocks of one member, as encodeTarHeader makes them. Throws (integrity) for anything else. */
export function decodeTarHeader(bytes: Buffer): TarMember {
  let at = 0;
  let pax = new Map<string, Buffer>();
  if (typeFlagOf(bytes, 0) === paxFlag) {
    const size = readOctal(bytes, 124, 12);
    const body = bytes.subarray(blockBytes, blockBytes + size);
    if (body.length !== size) throw damaged('a pax header is cut short');
    checkSum(bytes.subarray(0, blockBytes));
    pax = parsePax(body);
    at = blockBytes + size + paddingOf(size);
  }
  const block = bytes.subarray(at);
  if (block.length !== blockBytes) throw damaged('a header has the wrong length');
  checkSum(block);
  const type = (Object.keys(typeFlags) as EntryType[]).find((name) => typeFlags[name] === typeFlagOf(block, 0));
  if (type === undefined) throw damaged(`member type ${JSON.stringify(typeFlagOf(block, 0))} is unknown`);
  return readMember(block, pax, type);
}

function readMember(block: Buffer, pax: ReadonlyMap<string, Buffer>, type: EntryType): TarMember {
  const prefix = readBytes(block, 345, 155);
  const name = readBytes(block, 0, 100);
  const path = pax.get('path') ?? (prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]));
  const isFolder = type === 'folder' && path.at(-1) === 0x2f;
  const isDevice = type === 'char' || type === 'block';
  const mtime = pax.get('mtime')?.toString('latin1');
  return {
    path: isFolder ? path.subarray(0, -1) : path,
    type,
    mode: readOctal(block, 100, 8),
    uid: readNumber(pax.get('uid')) ?? readOctal(block, 108, 8),
    gid: readNumber(pax.get('gid')) ?? readOctal(block, 116, 8),
    user: (pax.get('uname') ?? readBytes(block, 265, 32)).toString('utf8'),
    group: (pax.get('gname') ?? readBytes(block, 297, 32)).toString('utf8'),
    size: readNumber(pax.get('size')) ?? readOctal(block, 124, 12),
    mtimeNs: mtime === undefined ? BigInt(readOctal(block, 136, 12)) * 1_000_000_000n : parseTime(mtime),
    ...(type === 'symlink' || type === 'hardlink' ? { link: pax.get('linkpath') ?? readBytes(block, 157, 100) } : {}),
    ...(isDevice ? { device: { major: readOctal(block, 329, 8), minor: readOctal(block, 337, 8) } } : {}),
  };
}

interface Block {
  readonly name: Buffer;
  readonly typeFlag: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly seconds: number;
  readonly link: Buffer;
  readonly user: string;
  readonly group: string;
  readonly device: Device | undefined;
}

function writeBlock(block: Buffer, fields: Block): void {
  const split = splitPath(fields.name);
  (split?.name ?? fields.name.subarray(0, 100)).copy(block, 0);
  split?.prefix.copy(block, 345);
  writeOctal(block, fields.mode & 0o7777, 100, 8);
  writeOctal(block, fields.uid, 108, 8);
  writeOctal(block, fields.gid, 116, 8);
  writeOctal(block, fields.size, 124, 12);
  writeOctal(block, fields.seconds, 136, 12);
  block.write(fields.typeFlag, 156, 'latin1');
  fields.link.copy(block, 157, 0, 100);
  block.write('ustar\u000000', 257, 'latin1');
  block.write(fields.user, 265, 31, 'utf8');
  block.write(fields.group, 297, 31, 'utf8');
  if (fields.device !== undefined) {
    writeOctal(block, fields.device.major, 329, 8);
    writeOctal(block, fields.device.minor, 337, 8);
  }
  block.write(`${sumOf(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

/**
 * What the plain header cannot hold. A name that is neither plain ASCII nor UTF-8 is marked as bytes
 * (hdrcharset=BINARY).
 */
function paxRecords(member: TarMember, path: Buffer): Buffer {
  const records: Buffer[] = [];
  const link = member.link ?? empty;
  const longPath = splitPath(path) === undefined;
  const longLink = link.length > 100;
  // A short name that is not UTF-8 goes into the plain header alone, as GNU tar has it: it knows no hdrcharset.
  const paxPath = longPath || (!isAscii(path) && isUtf8(path));
  const paxLink = longLink || (!isAscii(link) && isUtf8(link));
  if ((paxPath && !isUtf8(path)) || (paxLink && !isUtf8(link))) records.push(record('hdrcharset', 'BINARY'));
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

function parsePax(body: Buffer): Map<string, Buffer> {
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

/** The plain header's two name fields (155 and 100 bytes, cut at a slash); undefined if the path does not fit. */
function splitPath(path: Buffer): { prefix: Buffer; name: Buffer } | undefined {
  if (path.length <= 100) return { prefix: empty, name: path };
  if (path.length > 256) return undefined;
  const at = path.indexOf(0x2f, path.length - 101);
  if (at <= 0 || at > 155 || at === path.length - 1) return undefined;
  return { prefix: path.subarray(0, at), name: path.subarray(at + 1) };
}

/** At most the last `count` bytes: a pax header's own name is for people only. */
function lastBytes(path: Buffer, count: number): Buffer {
  return path.subarray(Math.max(0, path.length - count));
}

/** A number too large (or negative) for its field is written as 0; its pax record counts. */
function writeOctal(block: Buffer, value: number, at: number, width: number): void {
  const digits = value < 0 ? '' : value.toString(8);
  const shown = digits.length > width - 1 ? '' : digits;
  block.write(`${shown.padStart(width - 1, '0')}\0`, at, 'latin1');
}

function readOctal(block: Buffer, at: number, width: number): number {
  const text = readBytes(block, at, width).toString('latin1').trim();
  if (!/^[0-7]*$/.test(text)) throw damaged('a number in a header cannot be read');
  return text === '' ? 0 : Number.parseInt(text, 8);
}

function readNumber(value: Buffer | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value.toString('latin1'));
  if (!Number.isSafeInteger(number) || number < 0) throw damaged('a number in a pax header cannot be read');
  return number;
}

function readBytes(block: Buffer, at: number, width: number): Buffer {
  const field = block.subarray(at, at + width);
  const end = field.indexOf(0);
  return end === -1 ? field : field.subarray(0, end);
}

function typeFlagOf(bytes: Buffer, at: number): string {
  return bytes.toString('latin1', at + 156, at + 157);
}

/** Sum of all bytes, those of the checksum field counted as blanks. */
function sumOf(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < 148; at++) sum += block[at] ?? 0;
  for (let at = 156; at < blockBytes; at++) sum += block[at] ?? 0;
  return sum;
}

function checkSum(block: Buffer): void {
  if (block.length !== blockBytes || readOctal(block, 148, 8) !== sumOf(block)) {
    throw damaged('the checksum of a header is wrong');
  }
}

function floorSeconds(ns: bigint): bigint {
  return ns >= 0n ? ns / 1_000_000_000n : -((-ns + 999_999_999n) / 1_000_000_000n);
}

/** Nanoseconds as decimal seconds, exactly: "-1.5". */
function formatTime(ns: bigint): string {
  const absolute = ns < 0n ? -ns : ns;
  const fraction = String(absolute % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${ns < 0n ? '-' : ''}${absolute / 1_000_000_000n}${fraction === '' ? '' : `.${fraction}`}`;
}

function parseTime(text: string): bigint {
  const match = /^(-?)(\d{1,20})(?:\.(\d{1,9})\d{0,20})?$/.exec(text);
  if (match === null) throw damaged('a time in a pax header cannot be read');
  const ns = BigInt(match[2] ?? '0') * 1_000_000_000n + BigInt((match[3] ?? '').padEnd(9, '0'));
  return match[1] === '-' ? -ns : ns;
}

function damaged(why: string): LifeboatError {
  return new LifeboatError('integrity', `cannot read files.tar: ${why}`);
}
