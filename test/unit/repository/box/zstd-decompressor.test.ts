import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as zlib from 'node:zlib';
import { codec, decode } from '../../../../src/repository/box/codec.ts';
import { decompressFrame } from '../../../../src/repository/box/zstd-decompressor.ts';
import { compressFrame } from '../../../../src/repository/box/zstd-frames.ts';

const text = (n: number, length: number): Buffer =>
  Buffer.from(`row ${n}: ${'a word and another; '.repeat(length / 20)}`.slice(0, length));
const good = text(0, 300_000);
const { constants } = zlib;

async function refuses(body: Uint8Array, plainLength: number): Promise<void> {
  await assert.rejects(decode(body, codec.zstd, plainLength), { code: 'integrity' });
  // More than there are streams: none of them has kept something of it.
  const frame = await compressFrame(good, 3);
  for (const plain of await Promise.all(
    Array.from({ length: 20 }, async () => decode(frame, codec.zstd, good.length)),
  )) {
    assert.ok(good.equals(plain));
  }
}

test('frames of all sizes at the same time, by streams that have been used before', async () => {
  const plains = Array.from({ length: 200 }, (_, n) =>
    Buffer.concat([text(n, (n * 7919) % 900_000), randomBytes((n * 104_729) % 300_000)]),
  );
  const bodies = await Promise.all(plains.map(async (plain) => compressFrame(plain, 3)));
  for (const [n, plain] of (
    await Promise.all(bodies.map(async (body, n) => decompressFrame(body, plains[n]?.length ?? 0)))
  ).entries()) {
    assert.ok(plains[n]?.equals(plain), `frame ${n}`);
  }
});

test('frames as other programs write them: with size, checksum, wide window, nothing in them', async () => {
  for (const plain of [
    Buffer.alloc(0),
    Buffer.from('x'),
    text(1, 200),
    text(1, 70_000),
    Buffer.alloc(3_000_000),
    randomBytes(16 * 1024 * 1024),
  ]) {
    for (const params of [
      {},
      { [constants.ZSTD_c_checksumFlag]: 1 },
      { [constants.ZSTD_c_windowLog]: 27 },
      { [constants.ZSTD_c_compressionLevel]: 7 },
    ]) {
      for (const pledgedSrcSize of [undefined, plain.length]) {
        const body = zlib.zstdCompressSync(plain, {
          params,
          ...(pledgedSrcSize === undefined ? {} : { pledgedSrcSize }),
        });
        assert.ok(
          plain.equals(await decode(body, codec.zstd, plain.length)),
          JSON.stringify({ bytes: plain.length, params }),
        );
      }
    }
  }
});

test('what is cut short, has something behind it, or is no frame is refused, and spoils no other', async () => {
  const frame = Buffer.from(await compressFrame(good, 3));
  for (const cut of [0, 1, 4, 5, 6, 8, 9, 20, frame.length - 1]) await refuses(frame.subarray(0, cut), good.length);
  await refuses(Buffer.concat([frame, Buffer.from('more')]), good.length);
  await refuses(Buffer.concat([frame, frame]), good.length);
  await refuses(frame, good.length - 1);
  await refuses(frame, good.length + 1);
  await refuses(randomBytes(1000), 1000);
});

test('every damaged byte of a frame of ours, which has a checksum, is refused, and spoils no other', async () => {
  const plain = text(2, 500);
  const frame = Buffer.from(await compressFrame(plain, 3));
  for (let at = 0; at < frame.length; at++) {
    const damaged = Buffer.from(frame);
    damaged.writeUInt8(damaged.readUInt8(at) ^ 0x41, at);
    const outcome = await decode(damaged, codec.zstd, plain.length).catch((error: { code?: unknown }) => error.code);
    // Bits of the window's size may change without a consequence.
    assert.ok(
      outcome === 'integrity' || (at < 6 && plain.equals(outcome as Uint8Array)),
      `byte ${at}: ${String(outcome)}`,
    );
    assert.ok(good.equals(await decode(await compressFrame(good, 3), codec.zstd, good.length)));
  }
});

test('a frame that would yield gigabytes is stopped at the length that it must have', async () => {
  // 16,384 blocks of 128 KiB, one byte repeated, without a size in the header: 64 KB that become 2 GB.
  const block = Buffer.from([0x02, 0x00, 0x10, 0x61]);
  const bomb = Buffer.concat([
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50]),
    ...Array.from({ length: 16_383 }, () => block),
    Buffer.from([0x03, 0x00, 0x10, 0x61]),
  ]);
  assert.equal(
    zlib.zstdDecompressSync(bomb.subarray(0, 6 + 4 * 8), { finishFlush: constants.ZSTD_e_continue }).length,
    1024 * 1024,
    'it is what it claims to be',
  );
  const before = process.memoryUsage().rss;
  await refuses(bomb, 1000);
  await refuses(bomb, 4 * 1024 * 1024);
  assert.ok(process.memoryUsage().rss - before < 200e6, 'memory stays bounded');
});
