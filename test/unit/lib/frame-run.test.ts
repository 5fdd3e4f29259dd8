/** The end of a run of frames, however the bytes come in. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FrameRun } from '../../../src/lib/frame-run.ts';

const begin = Buffer.from([1, 0, 7, 0, 0, 0]);

describe('a run of frames', () => {
  test('ends with the empty one, in whatever pieces it comes', () => {
    const run = Buffer.concat([begin, frame('one'), frame('x'.repeat(70_000)), frame('\0\0\0\0\0'), frame('')]);
    const stream = Buffer.concat([run, Buffer.from('what follows')]);
    for (const size of [1, 2, 3, 4, 5, 6, 7, 11, 4096, stream.length]) {
      const frames = new FrameRun(begin);
      let at = 0;
      while (!frames.isOver) {
        const end = Math.min(stream.length, at + size);
        const next = frames.advance(stream, at, end);
        assert.ok(frames.isOver || next === end, `pieces of ${size} bytes`);
        at = next;
      }
      assert.equal(at, run.length, `pieces of ${size} bytes`);
      assert.equal(frames.advance(stream, at, stream.length), at);
    }
  });

  test('may be empty', () => {
    const frames = new FrameRun(begin);
    assert.equal(frames.advance(Buffer.concat([begin, frame('')]), 0, 11), 11);
    assert.equal(frames.isOver, true);
  });

  test('is refused where it begins otherwise, or a length makes no sense', () => {
    assert.throws(() => new FrameRun(begin).advance(Buffer.from([1, 0, 8, 0, 0, 0]), 0, 6), /other data came/);
    for (const head of [
      [1, 1, 0, 0, 0],
      [0, 0, 0, 0, 0x80],
    ]) {
      const bytes = Buffer.concat([begin, Buffer.from(head)]);
      assert.throws(() => new FrameRun(begin).advance(bytes, 0, bytes.length), /length below zero/);
    }
  });
});

function frame(data: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32LE(data.length, 1);
  return Buffer.concat([head, Buffer.from(data)]);
}
