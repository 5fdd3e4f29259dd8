/**
 * The fixed parts of a box, byte for byte as man lifeboat-repository(7) has them: header, directory, trailer. What is
 * parsed here comes from storage, so that each field is checked; nothing of it is a secret.
 */
import { randomBytes } from 'node:crypto';
import { LifeboatError } from '../../lib/errors.ts';
import { codec, maxFramePlainBytes } from './codec.ts';
import { sha256, type DataKey } from './crypto.ts';

/** What a box holds, as its header says it. */
export const boxKind = { pack: 1, index: 2, wal: 3, document: 4, parts: 5 } as const;

/** Boxes of write-ahead log: signed, and without chunk ids if the writer likes. */
export function isLog(kind: BoxKind): boolean {
  return kind === boxKind.wal || kind === boxKind.parts;
}

export type BoxKind = (typeof boxKind)[keyof typeof boxKind];

/** Sizes of the fixed parts; `tagBytes` follow each sealed part. */
export const headerBytes = 64;
export const trailerBytes = 24;
export const tagBytes = 16;
export const directoryEntryBytes = 49;

/** Where a frame lies and what it yields. Offsets from the object's first byte; `storedLength` counts the tag. */
export interface FrameEntry {
  readonly offset: number;
  readonly storedLength: number;
  readonly plainLength: number;
  readonly codec: number;
  readonly chunkId: Buffer;
}

/** What the trailer says. */
export interface Trailer {
  readonly directoryOffset: number;
  readonly directoryLength: number;
  readonly frameCount: number;
}

const zeros = Buffer.alloc(16);

/** A fresh header with a salt of its own. `first`: what is sealed first in it, plain or its chunk id. */
export function newHeader(kind: BoxKind, dataKey: DataKey | undefined, first: Uint8Array): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.write('LFBT', 0, 'latin1');
  header[4] = 1;
  header[5] = kind;
  header[6] = dataKey === undefined ? 0 : 1;
  dataKey?.id.copy(header, 8);
  saltFrom(randomBytes(32), first).copy(header, 24);
  return header;
}

/**
 * A box's key follows from its salt, so no two boxes may have the same. A virtual machine that is resumed twice from
 * one snapshot repeats its random bytes; then time, process and content keep the salts apart.
 */
export function saltFrom(random: Uint8Array, first: Uint8Array): Buffer {
  const moment = `${Date.now()} ${process.hrtime.bigint()} ${process.pid} ${saltsMade++}\n`;
  return sha256(random, Buffer.from(moment), first);
}

let saltsMade = 0;

/**
 * Checks a header; returns the id of its data key (undefined without encryption). Throws (integrity) on anything
 * unknown.
 */
export function parseHeader(header: Buffer, kind: BoxKind): Buffer | undefined {
  if (header.length !== headerBytes || header.toString('latin1', 0, 4) !== 'LFBT') {
    throw damagedBox('this is not a sealed box');
  }
  if (header[4] !== 1) throw damagedBox(`box version ${header[4]} is unknown`);
  if (header[5] !== kind) throw damagedBox(`box of kind ${header[5]} where kind ${kind} belongs`);
  if (header[7] !== 0 || header.readBigUInt64LE(56) !== 0n) {
    throw damagedBox('reserved bytes of a box header are not zero');
  }
  const keyId = header.subarray(8, 24);
  if (header[6] === 1) return keyId;
  if (header[6] !== 0 || !keyId.equals(zeros)) {
    throw damagedBox(`box cipher ${header[6]} is unknown or names a key it does not use`);
  }
  return undefined;
}

/** The last 24 bytes of a box. */
export function encodeTrailer(trailer: Trailer): Buffer {
  const bytes = Buffer.alloc(trailerBytes);
  bytes.writeBigUInt64LE(BigInt(trailer.directoryOffset), 0);
  bytes.writeUInt32LE(trailer.directoryLength, 8);
  bytes.writeUInt32LE(trailer.frameCount, 12);
  bytes.write('TBFL', 20, 'latin1');
  return bytes;
}

/** Checks the trailer against the object's size. */
export function parseTrailer(bytes: Buffer, objectBytes: number): Trailer {
  if (bytes.length !== trailerBytes || bytes.toString('latin1', 20) !== 'TBFL' || bytes.readUInt32LE(16) !== 0) {
    throw damagedBox('a box has no trailer: it is truncated or damaged');
  }
  const directoryOffset = Number(bytes.readBigUInt64LE(0));
  const directoryLength = bytes.readUInt32LE(8);
  const frameCount = bytes.readUInt32LE(12);
  if (directoryOffset < headerBytes || directoryOffset + directoryLength + trailerBytes !== objectBytes) {
    throw damagedBox('a box has another size than its trailer says');
  }
  return { directoryOffset, directoryLength, frameCount };
}

/** The plain directory: the key that the box is stored under, then its frames. */
export function encodeDirectory(key: string, frames: readonly FrameEntry[]): Buffer {
  const name = Buffer.from(key);
  const bytes = Buffer.allocUnsafe(2 + name.length + frames.length * directoryEntryBytes);
  let at = bytes.writeUInt16LE(name.length, 0);
  at += name.copy(bytes, at);
  for (const frame of frames) {
    at = bytes.writeBigUInt64LE(BigInt(frame.offset), at);
    at = bytes.writeUInt32LE(frame.storedLength, at);
    at = bytes.writeUInt32LE(frame.plainLength, at);
    at = bytes.writeUInt8(frame.codec, at);
    at += frame.chunkId.copy(bytes, at);
  }
  return bytes;
}

/**
 * The frames of an opened directory, without gaps from byte 64 to the directory. `rest` is what follows
 * the entries (the signature of WAL boxes; empty in all others).
 */
export function parseDirectory(
  bytes: Uint8Array,
  key: string,
  trailer: Trailer,
): { readonly frames: FrameEntry[]; readonly rest: Buffer; readonly signedLength: number } {
  const directory = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const nameLength = directory.length < 2 ? 0 : directory.readUInt16LE(0);
  const entriesEnd = 2 + nameLength + trailer.frameCount * directoryEntryBytes;
  if (directory.length < entriesEnd) throw damagedBox('a box directory is too short');
  if (directory.toString('utf8', 2, 2 + nameLength) !== key) {
    throw damagedBox(
      `a box was written as ${JSON.stringify(directory.toString('utf8', 2, 2 + nameLength))}, not under this name`,
    );
  }
  const frames: FrameEntry[] = [];
  let expected = headerBytes;
  for (let at = 2 + nameLength; at < entriesEnd; at += directoryEntryBytes) {
    const frame = {
      offset: Number(directory.readBigUInt64LE(at)),
      storedLength: directory.readUInt32LE(at + 8),
      plainLength: directory.readUInt32LE(at + 12),
      codec: directory.readUInt8(at + 16),
      chunkId: Buffer.from(directory.subarray(at + 17, at + directoryEntryBytes)),
    };
    if (
      frame.offset !== expected ||
      frame.storedLength < tagBytes ||
      frame.codec > codec.lz4 ||
      frame.plainLength > maxFramePlainBytes
    ) {
      throw damagedBox('a box directory is inconsistent');
    }
    expected += frame.storedLength;
    frames.push(frame);
  }
  if (expected !== trailer.directoryOffset) throw damagedBox('a box has a gap before its directory');
  return { frames, rest: directory.subarray(entriesEnd), signedLength: entriesEnd };
}

/** The error (integrity) of a box that is not as it was written. */
export function damagedBox(message: string, cause?: unknown): LifeboatError {
  return new LifeboatError('integrity', message, { cause });
}
