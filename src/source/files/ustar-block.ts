/**
 * The plain header block of a tar member (ustar): fields at fixed places, numbers in octal, a checksum. What does not
 * fit into it stands in a pax header before it (pax.ts).
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { Device } from './member.ts';

export const blockBytes = 512;
const empty = Buffer.alloc(0);

/** Bytes of zeros that fill content of `size` bytes up to a whole block. */
export function paddingOf(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes;
}

/** What stands in the fields of a block. */
export interface Block {
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

/** Fills a block of zeros. What is too long or too large for its field is cut, or written as 0: pax records have it. */
export function writeBlock(block: Buffer, fields: Block): void {
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

/** The plain header's two name fields (155 and 100 bytes, cut at a slash); undefined if the path does not fit. */
export function splitPath(path: Buffer): { prefix: Buffer; name: Buffer } | undefined {
  if (path.length <= 100) return { prefix: empty, name: path };
  if (path.length > 256) return undefined;
  const at = path.indexOf(0x2f, path.length - 101);
  if (at <= 0 || at > 155 || at === path.length - 1) return undefined;
  return { prefix: path.subarray(0, at), name: path.subarray(at + 1) };
}

/** A number too large (or negative) for its field is written as 0; its pax record counts. */
function writeOctal(block: Buffer, value: number, at: number, width: number): void {
  const digits = value < 0 ? '' : value.toString(8);
  const shown = digits.length > width - 1 ? '' : digits;
  block.write(`${shown.padStart(width - 1, '0')}\0`, at, 'latin1');
}

/** An empty field is 0. Throws (integrity) for what is no octal number. */
export function readOctal(block: Buffer, at: number, width: number): number {
  const text = readBytes(block, at, width).toString('latin1').trim();
  if (!/^[0-7]*$/.test(text)) throw damaged('a number in a header cannot be read');
  return text === '' ? 0 : Number.parseInt(text, 8);
}

/** A field up to its first zero byte. */
export function readBytes(block: Buffer, at: number, width: number): Buffer {
  const field = block.subarray(at, at + width);
  const end = field.indexOf(0);
  return end === -1 ? field : field.subarray(0, end);
}

/** The kind of member that the block at `at` is of. */
export function typeFlagOf(bytes: Buffer, at: number): string {
  return bytes.toString('latin1', at + 156, at + 157);
}

/** Sum of all bytes, those of the checksum field counted as blanks. */
function sumOf(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < 148; at++) sum += block[at] ?? 0;
  for (let at = 156; at < blockBytes; at++) sum += block[at] ?? 0;
  return sum;
}

/** Throws (integrity) unless the block is whole and has its checksum. */
export function checkSum(block: Buffer): void {
  if (block.length !== blockBytes || readOctal(block, 148, 8) !== sumOf(block)) {
    throw damaged('the checksum of a header is wrong');
  }
}

/** For whatever a tar holds that none of ours would. */
export function damaged(why: string): LifeboatError {
  return new LifeboatError('integrity', `cannot read files.tar: ${why}`);
}
