/** Lengths and strings of the RDB format, read from a buffer that holds at least `headerBytes` or all that is left. */
import { lzfDecompress } from './lzf.ts';
import type { RdbInput } from './input.ts';
import { damaged, maxStringBytes, truncated } from './input.ts';

/** No prefix of a string (or any other unit but bodies) is longer: a code and two 64-bit lengths, 19 bytes. */
export const headerBytes = 32;

/** Reads one byte. */
export function readByte(input: RdbInput): number {
  const byte = input.buffer[input.at];
  if (byte === undefined) throw truncated(input.offset);
  input.at++;
  return byte;
}

/** Reads a plain length. Beyond 2^53 it is only near the truth: such a value is metadata, never a size. */
export function readLength(input: RdbInput): number {
  const first = readByte(input);
  const kind = first >> 6;
  if (kind === 3) throw damaged(input.offset - 1, 'a string code stands where a length should');
  return lengthFrom(input, first);
}

function lengthFrom(input: RdbInput, first: number): number {
  const kind = first >> 6;
  if (kind === 0) return first;
  if (kind === 1) return ((first & 63) << 8) | readByte(input);
  const wide = first === 0x81;
  if (!wide && first !== 0x80) throw damaged(input.offset - 1, `unknown length code ${first}`);
  if (input.available < (wide ? 8 : 4)) throw truncated(input.offset);
  input.at += wide ? 8 : 4;
  return wide ? Number(input.buffer.readBigUInt64BE(input.at - 8)) : input.buffer.readUInt32BE(input.at - 4);
}

/** What stands before a string's body. */
export interface StringHeader {
  /** Bytes that follow. */
  stored: number;
  /** Length after decompression; -1: not compressed; -2: an integer, little-endian. */
  plain: number;
}

const shared: StringHeader = { stored: 0, plain: 0 };

/** Reads a string's header into one shared object (this runs once for each element of a file). */
export function readStringHeader(input: RdbInput): StringHeader {
  const first = readByte(input);
  shared.plain = -1;
  if (first < 0xc0) {
    shared.stored = lengthFrom(input, first);
  } else if (first <= 0xc2) {
    shared.stored = 1 << (first & 3);
    shared.plain = -2;
  } else if (first === 0xc3) {
    shared.stored = readLength(input);
    shared.plain = readLength(input);
  } else throw damaged(input.offset - 1, `unknown string code ${first}`);
  // One string can be longer than Redis' usual limit (proto-max-bulk-len is a setting), but not by orders of magnitude.
  if (shared.stored > 2 ** 44) throw damaged(input.offset, `a string of ${shared.stored} bytes`);
  return shared;
}

/**
 * Reads a whole string: keys, auxiliary fields, functions. The bytes may be a view that is valid until the next fill.
 */
export async function readString(input: RdbInput): Promise<Buffer> {
  return tryReadString(input) ?? readSlowly(input);
}

/** The same without waiting; undefined (and nothing consumed) when the buffer does not hold all of it. */
export function tryReadString(input: RdbInput): Buffer | undefined {
  if (input.available < headerBytes) return undefined;
  const start = input.at;
  const { stored, plain } = readStringHeader(input);
  if (input.available < stored) {
    input.at = start;
    return undefined;
  }
  input.at += stored;
  return plainBytes(input.buffer.subarray(input.at - stored, input.at), plain, input.offset);
}

async function readSlowly(input: RdbInput): Promise<Buffer> {
  await input.fill(headerBytes);
  const { stored, plain } = { ...readStringHeader(input) };
  return plainBytes(await input.take(stored), plain, input.offset);
}

function plainBytes(stored: Buffer, plain: number, offset: number): Buffer {
  if (plain === -1) return stored;
  if (plain === -2) return Buffer.from(String(stored.readIntLE(0, stored.length)));
  // LZF gains at most a factor of about 90: a greater claim is an attack on memory.
  if (plain > maxStringBytes || plain > stored.length * 100) {
    throw damaged(offset, `a compressed string that claims ${plain} bytes`);
  }
  return lzfDecompress(stored, plain);
}
