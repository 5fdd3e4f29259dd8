/** Cut points depend on the content alone: not on the slabs it comes in, nor on how many bytes come at a time. */
import assert from 'node:assert/strict';
import { createCipheriv, createHash, randomInt } from 'node:crypto';
import { test } from 'node:test';
import { slabBytes } from '../../../../src/repository/chunks/protocol.ts';
import {
  cutMasks,
  defaultChunkSizes,
  findCut,
  smallChunkSizes,
  type ChunkSizes,
} from '../../../../src/repository/chunks/cut-points.ts';
import { gearTable } from '../../../../src/repository/chunks/gear.ts';
import { headBytes, SlabCutter } from '../../../../src/repository/chunks/slab-cutter.ts';

const gear = gearTable(undefined, 'slab-cutter');

function cutAtOnce(stream: Buffer, sizes: ChunkSizes): string[] {
  const { strict, loose } = cutMasks(sizes);
  const hashes: string[] = [];
  let start = 0;
  for (
    let cut = 0;
    (cut = findCut(stream, start, start, stream.length, gear, sizes, strict, loose)) !== -1;
    start = cut
  ) {
    hashes.push(hash(stream.subarray(start, cut)));
  }
  if (start < stream.length) hashes.push(hash(stream.subarray(start)));
  return hashes;
}

/** As the reader thread does: a few slabs, used in turn, filled by reads of `readBytes`. */
function cutInSlabs(stream: Buffer, sizes: ChunkSizes, readBytes: () => number): string[] {
  const slabs = Array.from({ length: 3 }, () => Buffer.alloc(slabBytes, 0xee));
  const cutter = new SlabCutter({ gear, sizes });
  const hashes: string[] = [];
  for (let n = 0, at = 0, isLast = false; !isLast; n++) {
    const slab = slabs[n % slabs.length] as Buffer;
    cutter.begin(slab);
    for (let end = headBytes; end < slabBytes && !isLast;) {
      const read = stream.copy(slab, end, at, Math.min(stream.length, at + readBytes(), at + slabBytes - end));
      at += read;
      cutter.advance((end += read));
      isLast = read === 0;
    }
    const places = cutter.finish(isLast);
    for (let i = 0; i < places.length; i += 2) hashes.push(hash(slab.subarray(places[i], places[i + 1])));
  }
  return hashes;
}

const streams: readonly (readonly [name: string, stream: Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['a byte', Buffer.from('x')],
  ['less than the smallest chunk', noise(1, 60_000)],
  ['exactly a slab', noise(2, slabBytes - headBytes)],
  ['many slabs', noise(3, 30_000_000)],
  // Without a cut point anywhere: every chunk is of the largest size, and what is carried on the largest.
  ['zeros', Buffer.alloc(20_000_001)],
  ['noise after zeros', Buffer.concat([Buffer.alloc(9_000_000), noise(4, 9_000_000)])],
];

for (const [name, stream] of streams) {
  test(`cut at once and in slabs: ${name}`, () => {
    for (const sizes of [defaultChunkSizes, smallChunkSizes]) {
      const expected = cutAtOnce(stream, sizes);
      assert.deepEqual(
        cutInSlabs(stream, sizes, () => 65_536),
        expected,
      );
      assert.deepEqual(
        cutInSlabs(stream, sizes, () => randomInt(1, 65_536)),
        expected,
      );
    }
  });
}

test('chunks are found again behind a change', () => {
  const before = noise(5, 30_000_000);
  const after = Buffer.concat([
    before.subarray(0, 7_000_000),
    Buffer.from('a few bytes more'),
    before.subarray(7_000_000),
  ]);
  for (const sizes of [defaultChunkSizes, smallChunkSizes]) {
    const known = new Set(cutAtOnce(before, sizes));
    const fresh = cutInSlabs(after, sizes, () => 65_536).filter((chunk) => !known.has(chunk));
    assert.ok(fresh.length >= 1 && fresh.length <= 3, `${fresh.length} new chunks of ${known.size}`);
  }
});

/** The same for the same seed. */
function noise(seed: number, bytes: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
