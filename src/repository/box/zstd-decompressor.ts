/**
 * Opens zstd frames by streams that are used again: a one-shot call makes a context with a window of 2 MiB for every
 * chunk, and V8, which counts it, collects garbage for a third of a restore. A stream does not tell a whole frame
 * from one that is cut short, and would take its rest from the next chunk: so only a body whose own block headers say
 * that it is exactly one frame goes to one. What is anything else gets the one-shot call, which tells what is wrong.
 */
import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import { discard } from '../../lib/collect.ts';
import { libuvThreads, Places } from '../../lib/concurrency.ts';

const zstdDecompress = promisify(zlib.zstdDecompress);

/** Output comes in pieces of one buffer, which is replaced when it is full. */
const outputBytes = 512 * 1024;
/** A stream keeps its window for good; our writer's are of 2 MiB. */
const maxKeptWindowBytes = 8 * 1024 * 1024;

const running = new Places(libuvThreads);
const idle: FrameDecompressor[] = [];

/**
 * Decompressed on libuv's threads. Never holds more than a buffer beyond `plainLength` bytes of output; gives back at
 * most these, or throws.
 */
export function decompressFrame(body: Uint8Array, plainLength: number): Promise<Uint8Array> {
  return running.run(() => decompress(body, plainLength));
}

async function decompress(body: Uint8Array, plainLength: number): Promise<Uint8Array> {
  if (!isOneFrame(body)) {
    return zstdDecompress(body, { chunkSize: Math.max(64, plainLength), maxOutputLength: Math.max(1, plainLength) });
  }
  const decompressor = idle.pop() ?? new FrameDecompressor();
  const plain = await decompressor.decompress(body, plainLength);
  // Not after a failure: a broken stream is thrown away.
  idle.push(decompressor);
  return plain;
}

/** Exactly one frame, with a checksum of its content. */
export function isCheckedFrame(body: Uint8Array): boolean {
  return isOneFrame(body) && hasChecksum(body);
}

class FrameDecompressor {
  readonly #stream = zlib.createZstdDecompress({
    chunkSize: outputBytes,
    writableHighWaterMark: 2 ** 30,
  } as zlib.ZstdOptions);

  async decompress(body: Uint8Array, plainLength: number): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const parts: Buffer[] = [];
    let bytes = 0;
    const take = (part: Buffer): void => {
      bytes += part.length;
      if (bytes <= plainLength) parts.push(part);
      else if (!this.#stream.destroyed) {
        this.#stream.destroy();
        reject(new Error(`it yields more than ${plainLength} bytes`));
      }
    };
    this.#stream.on('data', take);
    this.#stream.once('error', reject);
    this.#stream.write(body, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
    await promise;
    // What has not been given to `take` yet is.
    while (this.#stream.read() !== null);
    if (this.#stream.destroyed) throw new Error(`it yields more than ${plainLength} bytes`);
    this.#stream.off('data', take);
    this.#stream.off('error', reject);
    const plain = Buffer.concat(parts, bytes);
    // A part that ends an output buffer is its last: the stream has a new one by then.
    for (const { buffer, byteOffset, byteLength } of parts) {
      if (byteOffset + byteLength === buffer.byteLength) discard(new Uint8Array(buffer));
    }
    return plain;
  }
}

/**
 * By its block headers, RFC 8878: nothing behind the frame, nothing of it missing, and a window that a stream may keep.
 */
function isOneFrame(body: Uint8Array): boolean {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  let at = endOfHeader(bytes);
  if (at === undefined) return false;
  for (let isLast = false; !isLast;) {
    if (at + 3 > bytes.length) return false;
    const header = bytes.readUIntLE(at, 3);
    const type = (header >> 1) & 3;
    isLast = (header & 1) === 1;
    // A block of type 1 is one byte, repeated.
    at += 3 + (type === 1 ? 1 : header >> 3);
    if (type === 3) return false;
  }
  return at + (hasChecksum(bytes) ? 4 : 0) === bytes.length;
}

function endOfHeader(bytes: Buffer): number | undefined {
  if (bytes.length < 6 || bytes.readUInt32LE(0) !== 0xfd2fb528) return undefined;
  const descriptor = bytes.readUInt8(4);
  // Reserved bits, or a dictionary.
  if ((descriptor & 0b1011) !== 0) return undefined;
  const isSingle = (descriptor & 0b10_0000) !== 0;
  const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const end = (isSingle ? 5 : 6) + sizeBytes;
  if (bytes.length < end || sizeBytes === 8) return undefined;
  const window = bytes.readUInt8(5);
  // Without a window of its own the whole content is the window.
  const windowBytes = isSingle ? bytes.readUIntLE(5, sizeBytes) : 2 ** (10 + (window >> 3)) * (1 + (window & 7) / 8);
  return windowBytes <= maxKeptWindowBytes ? end : undefined;
}

function hasChecksum(bytes: Uint8Array): boolean {
  return ((bytes[4] ?? 0) & 0b100) !== 0;
}
