/**
 * The sealed box: the one container of the repository (packs, indexes, WAL segments, documents).
 * 64-byte header, frames of stored body + 16-byte tag, a sealed directory, a 24-byte trailer; byte by
 * byte in man lifeboat-repository(7). A box is bound to its key in the repository, each frame to its
 * box and number, so that truncation, reordering, splicing, renaming and flipped bits are noticed.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { LifeboatError } from '../../lib/errors.ts';
import { codec, decode, encode, maxFramePlainBytes } from './codec.ts';
import { derive, hmacSha256, sha256, type DataKey } from './crypto.ts';
import type { CompressionConfig } from '../../config/config.ts';

export const boxKind = { pack: 1, index: 2, wal: 3, document: 4 } as const;
export type BoxKind = (typeof boxKind)[keyof typeof boxKind];

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

/** Stands in a directory of kind 3 where a frame has no chunk id. */
export const noChunkId = Buffer.alloc(32);

const zeros = Buffer.alloc(16);

/** Seals and opens the frames of one box. */
export class BoxCipher {
  readonly header: Buffer;
  readonly #key: Buffer | undefined;

  /** `header` must have passed `parseHeader`, or come from `newHeader`. */
  constructor(header: Buffer, dataKey: DataKey | undefined) {
    this.header = header;
    const kind = header[5] ?? 0;
    this.#key =
      dataKey === undefined ? undefined : derive(dataKey.key, header.subarray(24, 56), `lifeboat/1/box/${kind}`);
  }

  /** Writes body and tag into `target` at `at`; returns the number of bytes written. */
  sealInto(target: Uint8Array, at: number, n: number, body: Uint8Array): number {
    return this.#seal(target, at, frameNonce(n), this.#aad(n), body);
  }

  sealDirectory(frameCount: number, directory: Uint8Array): Buffer {
    const sealed = Buffer.allocUnsafe(directory.length + tagBytes);
    this.#seal(sealed, 0, directoryNonce(frameCount), this.#aad(frameCount), directory);
    return sealed;
  }

  /** The body of frame `n`; throws (integrity) when it was not sealed as that. */
  open(n: number, stored: Uint8Array): Uint8Array {
    return this.#open(frameNonce(n), this.#aad(n), stored);
  }

  openDirectory(frameCount: number, stored: Uint8Array): Uint8Array {
    return this.#open(directoryNonce(frameCount), this.#aad(frameCount), stored);
  }

  #aad(n: number): Buffer {
    const aad = Buffer.allocUnsafe(headerBytes + 8);
    this.header.copy(aad);
    aad.writeBigUInt64LE(BigInt(n), headerBytes);
    return aad;
  }

  #seal(target: Uint8Array, at: number, nonce: Buffer, aad: Buffer, body: Uint8Array): number {
    if (this.#key === undefined) {
      target.set(body, at);
      target.set(plainTag(this.header, nonce, body), at + body.length);
      return body.length + tagBytes;
    }
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    cipher.setAAD(aad);
    target.set(cipher.update(body), at);
    cipher.final();
    target.set(cipher.getAuthTag(), at + body.length);
    return body.length + tagBytes;
  }

  #open(nonce: Buffer, aad: Buffer, stored: Uint8Array): Uint8Array {
    if (stored.length < tagBytes) throw damaged('a frame is shorter than its tag');
    const body = stored.subarray(0, stored.length - tagBytes);
    const tag = stored.subarray(stored.length - tagBytes);
    if (this.#key === undefined) {
      if (!timingSafeEqual(plainTag(this.header, nonce, body), tag)) throw damaged('a frame fails its checksum');
      return body;
    }
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: tagBytes });
    decipher.setAAD(aad);
    decipher.setAuthTag(tag);
    const plain = decipher.update(body);
    try {
      decipher.final();
    } catch (cause) {
      throw damaged('a frame fails its authentication', cause);
    }
    return plain;
  }
}

/** A fresh header with a random salt. */
export function newHeader(kind: BoxKind, dataKey: DataKey | undefined): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.write('LFBT', 0, 'latin1');
  header[4] = 1;
  header[5] = kind;
  header[6] = dataKey === undefined ? 0 : 1;
  dataKey?.id.copy(header, 8);
  randomBytes(32).copy(header, 24);
  return header;
}

/**
 * Checks a header; returns the id of its data key (undefined without encryption). Throws (integrity) on anything
 * unknown.
 */
export function parseHeader(header: Buffer, kind: BoxKind): Buffer | undefined {
  if (header.length !== headerBytes || header.toString('latin1', 0, 4) !== 'LFBT') {
    throw damaged('this is not a sealed box');
  }
  if (header[4] !== 1) throw damaged(`box version ${header[4]} is unknown`);
  if (header[5] !== kind) throw damaged(`box of kind ${header[5]} where kind ${kind} belongs`);
  if (header[7] !== 0 || header.readBigUInt64LE(56) !== 0n) {
    throw damaged('reserved bytes of a box header are not zero');
  }
  const keyId = header.subarray(8, 24);
  if (header[6] === 1) return keyId;
  if (header[6] !== 0 || !keyId.equals(zeros)) {
    throw damaged(`box cipher ${header[6]} is unknown or names a key it does not use`);
  }
  return undefined;
}

/**
 * The cipher to open a box with: checks the header against `kind` and that it was sealed under exactly `dataKey` (or
 * without encryption).
 */
export function cipherFor(header: Buffer, kind: BoxKind, dataKey: DataKey | undefined): BoxCipher {
  const keyId = parseHeader(header, kind);
  if (keyId === undefined && dataKey !== undefined) throw damaged('a box is not encrypted although its backup is');
  if (keyId !== undefined && dataKey?.id.equals(keyId) !== true) {
    throw damaged('a box was sealed under another key than its backup');
  }
  return new BoxCipher(header, dataKey);
}

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
    throw damaged('a box has no trailer: it is truncated or damaged');
  }
  const directoryOffset = Number(bytes.readBigUInt64LE(0));
  const directoryLength = bytes.readUInt32LE(8);
  const frameCount = bytes.readUInt32LE(12);
  if (directoryOffset < headerBytes || directoryOffset + directoryLength + trailerBytes !== objectBytes) {
    throw damaged('a box has another size than its trailer says');
  }
  return { directoryOffset, directoryLength, frameCount };
}

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
  if (directory.length < entriesEnd) throw damaged('a box directory is too short');
  if (directory.toString('utf8', 2, 2 + nameLength) !== key) {
    throw damaged(
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
      throw damaged('a box directory is inconsistent');
    }
    expected += frame.storedLength;
    frames.push(frame);
  }
  if (expected !== trailer.directoryOffset) throw damaged('a box has a gap before its directory');
  return { frames, rest: directory.subarray(entriesEnd), signedLength: entriesEnd };
}

/** Key that chunk ids of a data key are made with; undefined without encryption. */
export function chunkIdKey(dataKey: DataKey | undefined): Buffer | undefined {
  return dataKey === undefined ? undefined : derive(dataKey.key, '', 'lifeboat/1/chunk-id');
}

/** The id of a plain chunk under `chunkIdKey`'s result. */
export function chunkIdOf(idKey: Buffer | undefined, plain: Uint8Array): Buffer {
  return idKey === undefined ? sha256(plain) : hmacSha256(idKey, plain);
}

/** Seals a whole body (index part, document) in frames of 1 MiB. Returns the parts of the object. */
export async function sealBox(
  kind: BoxKind,
  key: string,
  dataKey: DataKey | undefined,
  body: Uint8Array,
  compression: CompressionConfig,
): Promise<Uint8Array[]> {
  const cipher = new BoxCipher(newHeader(kind, dataKey), dataKey);
  const idKey = chunkIdKey(dataKey);
  const parts: Uint8Array[] = [cipher.header];
  const frames: FrameEntry[] = [];
  let offset = headerBytes;
  for (let at = 0; at < body.length; at += 1024 * 1024) {
    const plain = body.subarray(at, at + 1024 * 1024);
    const encoded = await encode(plain, compression);
    const stored = Buffer.allocUnsafe(encoded.body.length + tagBytes);
    cipher.sealInto(stored, 0, frames.length, encoded.body);
    frames.push({
      offset,
      storedLength: stored.length,
      plainLength: plain.length,
      codec: encoded.codec,
      chunkId: chunkIdOf(idKey, plain),
    });
    offset += stored.length;
    parts.push(stored);
  }
  parts.push(...closing(cipher, key, frames, offset));
  return parts;
}

/** The sealed directory and the trailer that end a box whose frames end at `directoryOffset`. */
export function closing(
  cipher: BoxCipher,
  key: string,
  frames: readonly FrameEntry[],
  directoryOffset: number,
): [Buffer, Buffer] {
  const directory = cipher.sealDirectory(frames.length, encodeDirectory(key, frames));
  return [directory, encodeTrailer({ directoryOffset, directoryLength: directory.length, frameCount: frames.length })];
}

/** Opens and checks the directory of a box held as a whole. `signed`: the plain directory up to `rest`. */
export function openWholeBox(
  bytes: Buffer,
  kind: BoxKind,
  key: string,
  dataKey: DataKey | undefined,
): { cipher: BoxCipher; frames: FrameEntry[]; rest: Buffer; signed: Uint8Array } {
  if (bytes.length < headerBytes + trailerBytes) throw damaged('a box is truncated');
  const cipher = cipherFor(bytes.subarray(0, headerBytes), kind, dataKey);
  const trailer = parseTrailer(bytes.subarray(bytes.length - trailerBytes), bytes.length);
  const directory = cipher.openDirectory(
    trailer.frameCount,
    bytes.subarray(trailer.directoryOffset, bytes.length - trailerBytes),
  );
  const { frames, rest, signedLength } = parseDirectory(directory, key, trailer);
  return { cipher, frames, rest, signed: directory.subarray(0, signedLength) };
}

/**
 * Opens a box held as a whole: every frame authenticated, decoded, and equal to its chunk id, which only frames of
 * write-ahead log may lack. Yields the plain frames.
 */
export async function* openBoxFrames(
  bytes: Buffer,
  kind: BoxKind,
  key: string,
  dataKey: DataKey | undefined,
): AsyncGenerator<Uint8Array> {
  const { cipher, frames, rest } = openWholeBox(bytes, kind, key, dataKey);
  if (kind !== boxKind.wal && rest.length > 0) throw damaged('a box directory is too long');
  const idKey = chunkIdKey(dataKey);
  for (const [n, frame] of frames.entries()) {
    const plain = await decode(
      cipher.open(n, bytes.subarray(frame.offset, frame.offset + frame.storedLength)),
      frame.codec,
      frame.plainLength,
    );
    const hasId = kind !== boxKind.wal || !frame.chunkId.equals(noChunkId);
    if (hasId && !chunkIdOf(idKey, plain).equals(frame.chunkId)) {
      throw damaged('a frame does not have the chunk id its directory says');
    }
    yield plain;
  }
}

/** The whole body of a box held as a whole (documents, index parts). */
export async function openBox(
  bytes: Buffer,
  kind: BoxKind,
  key: string,
  dataKey: DataKey | undefined,
): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const plain of openBoxFrames(bytes, kind, key, dataKey)) parts.push(plain);
  return Buffer.concat(parts);
}

function frameNonce(n: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(n), 4);
  return nonce;
}

function directoryNonce(frameCount: number): Buffer {
  const nonce = frameNonce(frameCount);
  nonce.writeUInt32BE(1, 0);
  return nonce;
}

function plainTag(header: Buffer, nonce: Buffer, body: Uint8Array): Buffer {
  return createHash('sha256').update(header).update(nonce).update(body).digest().subarray(0, tagBytes);
}

function damaged(message: string, cause?: unknown): LifeboatError {
  return new LifeboatError('integrity', message, { cause });
}
