/**
 * Compression of one chunk at a time, on libuv's threads. Codecs are numbered as in the repository
 * format; every compressed body is one self-contained zstd frame, gzip member or lz4 frame.
 */
import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import type { CompressionConfig } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { decompressFrame, isCheckedFrame } from './zstd-decompressor.ts';
import { compressFrame } from './zstd-frames.ts';

export const codec = { raw: 0, zstd: 1, gzip: 2, lz4: 3 } as const;
export type Codec = (typeof codec)[keyof typeof codec];

/** Plain bytes of one frame at most. */
export const maxFramePlainBytes = 16 * 1024 * 1024;

export interface Encoded {
  readonly codec: Codec;
  readonly body: Uint8Array;
}

const gzip = promisify(zlib.gzip);
const gunzip = promisify(zlib.gunzip);

/** Compresses a chunk; what does not shrink comes back as it is, with codec raw. */
export async function encode(plain: Uint8Array, compression: CompressionConfig): Promise<Encoded> {
  if (compression.method === 'none' || plain.length === 0) return { codec: codec.raw, body: plain };
  const body = await compress(plain, compression);
  return body.length < plain.length ? { codec: codec[compression.method], body } : { codec: codec.raw, body: plain };
}

/** Gives back exactly `plainLength` bytes or throws (integrity). */
export async function decode(body: Uint8Array, which: number, plainLength: number): Promise<Uint8Array> {
  if (plainLength > maxFramePlainBytes) throw damaged(`a frame of ${plainLength} bytes is over the limit`);
  let plain: Uint8Array;
  try {
    plain = await decompress(body, which, plainLength);
  } catch (error) {
    if (error instanceof LifeboatError) throw error;
    throw damaged('a frame does not decompress', error);
  }
  if (plain.length !== plainLength) throw damaged(`a frame yields ${plain.length} bytes, not ${plainLength}`);
  return plain;
}

/**
 * Whether decode() has compared what it gave back with a checksum in the body; of one that is stored as it is nothing
 * else can come.
 */
export function isCheckedBody(body: Uint8Array, which: number): boolean {
  return which === codec.raw || (which === codec.zstd && isCheckedFrame(body));
}

async function compress(plain: Uint8Array, { method, level }: CompressionConfig): Promise<Uint8Array> {
  if (method === 'zstd') return compressFrame(plain, level);
  if (method === 'gzip') return gzip(plain, { chunkSize: Math.max(64, plain.length), level });
  return (await lz4()).compressFrame(Buffer.from(plain.buffer, plain.byteOffset, plain.length));
}

async function decompress(body: Uint8Array, which: number, plainLength: number): Promise<Uint8Array> {
  // The size of zlib's output buffers: that of the whole result, so that one buffer and one round suffice.
  const options = { chunkSize: Math.max(64, plainLength), maxOutputLength: Math.max(1, plainLength) };
  if (which === codec.raw) return body;
  if (which === codec.zstd) return decompressFrame(body, plainLength);
  if (which === codec.gzip) return gunzip(body, options);
  if (which === codec.lz4) return (await lz4()).decompressFrame(Buffer.from(body.buffer, body.byteOffset, body.length));
  throw damaged(`codec ${which} is unknown`);
}

async function lz4(): Promise<typeof import('lz4-napi')> {
  try {
    return await import('lz4-napi');
  } catch (cause) {
    throw new LifeboatError('tool', 'lz4 is not available: the optional package lz4-napi is not installed', {
      hint: 'npm install lz4-napi, or choose zstd',
      cause,
    });
  }
}

function damaged(message: string, cause?: unknown): LifeboatError {
  return new LifeboatError('integrity', message, { cause });
}
