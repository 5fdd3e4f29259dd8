/** Small objects that become large ones. */
import { closing } from '../../../src/repository/box/box.ts';
import { BoxCipher } from '../../../src/repository/box/cipher.ts';
import { chunkIdOf } from '../../../src/repository/box/chunk-id.ts';
import { codec } from '../../../src/repository/box/codec.ts';
import { headerBytes, newHeader, tagBytes, type FrameEntry } from '../../../src/repository/box/layout.ts';
import { compressFrame } from '../../../src/repository/box/zstd-frames.ts';

/** A box of 1,000 frames, each of which yields 16 MiB of zeros. */
export async function bomb(kind: 2 | 3 | 4, key: string): Promise<Buffer> {
  const plain = Buffer.alloc(16 * 1024 * 1024);
  const body = await compressFrame(plain, 3);
  const cipher = new BoxCipher(newHeader(kind, undefined, Buffer.alloc(0)), undefined);
  const frames: FrameEntry[] = [];
  const parts: Uint8Array[] = [cipher.header];
  const storedLength = body.length + tagBytes;
  const chunkId = chunkIdOf(undefined, plain);
  for (let n = 0; n < 1000; n++) {
    const stored = Buffer.alloc(storedLength);
    cipher.sealInto(stored, 0, n, body);
    parts.push(stored);
    const offset = headerBytes + n * storedLength;
    frames.push({ offset, storedLength, plainLength: plain.length, codec: codec.zstd, chunkId });
  }
  return Buffer.concat([...parts, ...closing(cipher, key, frames, headerBytes + frames.length * storedLength)]);
}
