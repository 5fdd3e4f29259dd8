/**
 * The sealed box: the one container of the repository (packs, indexes, WAL segments, documents).
 * 64-byte header, frames of stored body + 16-byte tag, a sealed directory, a 24-byte trailer; byte by
 * byte in man lifeboat-repository(7). A box is bound to its key in the repository, each frame to its
 * box and number, so that truncation, reordering, splicing, renaming and flipped bits are noticed.
 */
import type { CompressionConfig } from '../../config/config.ts';
import { chunkIdKey, chunkIdOf, noChunkId } from './chunk-id.ts';
import { BoxCipher, cipherFor } from './cipher.ts';
import { decode, encode } from './codec.ts';
import type { DataKey } from './crypto.ts';
import {
  boxKind,
  damagedBox,
  encodeDirectory,
  encodeTrailer,
  headerBytes,
  isLog,
  newHeader,
  parseDirectory,
  parseTrailer,
  tagBytes,
  trailerBytes,
  type BoxKind,
  type FrameEntry,
} from './layout.ts';

/**
 * What all frames of a box may yield together, by its kind, so that an object of some MiB cannot become gigabytes. An
 * index part: 250,000 records of 57 bytes, each with a pack of its own (80 bytes); facts: a million tables; log: a
 * segment of 32 MiB, and what is told of it.
 */
const maxPlainBytes: Readonly<Record<BoxKind, number>> = {
  [boxKind.pack]: 1024 * 1024 * 1024,
  [boxKind.index]: 36 * 1024 * 1024,
  [boxKind.wal]: 64 * 1024 * 1024,
  [boxKind.document]: 256 * 1024 * 1024,
  [boxKind.parts]: 64 * 1024,
};

/** Seals a whole body (index part, document) in frames of 1 MiB. Returns the parts of the object. */
export async function sealBox(
  kind: BoxKind,
  key: string,
  dataKey: DataKey | undefined,
  body: Uint8Array,
  compression: CompressionConfig,
): Promise<Uint8Array[]> {
  if (body.length > maxPlainBytes[kind]) {
    throw damagedBox(`${key} would hold ${body.length} bytes, more than can be read`);
  }
  const cipher = new BoxCipher(newHeader(kind, dataKey, body.subarray(0, 1024 * 1024)), dataKey);
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
  if (bytes.length < headerBytes + trailerBytes) throw damagedBox('a box is truncated');
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
  if (!isLog(kind) && rest.length > 0) throw damagedBox('a box directory is too long');
  const idKey = chunkIdKey(dataKey);
  const plainBytes = frames.reduce((sum, { plainLength }) => sum + plainLength, 0);
  if (plainBytes > maxPlainBytes[kind]) throw damagedBox(`a box yields ${plainBytes} bytes, more than its kind may`);
  for (const [n, frame] of frames.entries()) {
    const plain = await decode(
      cipher.open(n, bytes.subarray(frame.offset, frame.offset + frame.storedLength)),
      frame.codec,
      frame.plainLength,
    );
    const hasId = !isLog(kind) || !frame.chunkId.equals(noChunkId);
    if (hasId && !chunkIdOf(idKey, plain).equals(frame.chunkId)) {
      throw damagedBox('a frame does not have the chunk id its directory says');
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
