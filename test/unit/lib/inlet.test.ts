/** What a thread writes into a program's standard input is what the program reads; and neither a program that ends early nor one that hangs keeps anybody waiting for ever. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { startTool } from '../../../src/lib/exec.ts';
import { Inlet } from '../../../src/lib/inlet.ts';

const openFiles = (): number => readdirSync('/proc/self/fd').length;

test('the program reads all bytes in order, of whole buffers and of parts of larger ones', async () => {
  const before = openFiles();
  const { tool, inlet } = await Inlet.into((stdin) => startTool({ file: 'sha256sum', args: [], stdin }));
  const hash = createHash('sha256');
  for (let n = 0; n < 200; n++) {
    const large = randomBytes(1 + ((n * 7919) % 300_000));
    const piece = n % 3 === 0 ? large.subarray(large.length >> 2, large.length >> 1) : n % 3 === 1 ? Buffer.from(large) : new Uint8Array(new SharedArrayBuffer(n)).fill(n);
    hash.update(piece);
    assert.equal(await inlet.write(piece), true);
  }
  await inlet.close();
  assert.equal((await tool.result).stdout.split(' ')[0], hash.digest('hex'));
  assert.equal(openFiles(), before);
});

test('a part of a buffer is taken, and the rest of it stays with its owner', async () => {
  const { tool, inlet } = await Inlet.into((stdin) => startTool({ file: 'cat', args: [], stdin }));
  const whole = Buffer.from(new TextEncoder().encode('onetwothree').buffer);
  await inlet.write(whole.subarray(3, 6));
  await inlet.write(whole);
  await inlet.close();
  assert.equal((await tool.result).stdout, 'twoonetwothree');
  assert.equal(whole.length, 0);
});

test('a program that ends before it has read all is said to read no more', async () => {
  const { tool, inlet } = await Inlet.into((stdin) => startTool({ file: 'head', args: ['-c', '100000'], stdin }));
  let pieces = 0;
  while (await inlet.write(Buffer.alloc(1_000_000, 'x'))) assert.ok(pieces++ < 1000);
  assert.equal(await inlet.write(Buffer.alloc(10)), false);
  await inlet.close();
  assert.equal((await tool.result).stdout, 'x'.repeat(100_000));
});

test('a program that reads nothing holds the writer back, until it is ended', async () => {
  const before = openFiles();
  const stop = new AbortController();
  const { tool, inlet } = await Inlet.into((stdin) => startTool({ file: 'sleep', args: ['1000'], stdin, signal: stop.signal }));
  const first = await inlet.write(Buffer.alloc(1_000_000));
  const second = inlet.write(Buffer.alloc(1_000_000));
  assert.equal(await Promise.race([second, sleep(300, 'waits')]), 'waits');
  stop.abort(new Error('no more of it'));
  assert.deepEqual([first, await second], [true, false]);
  await inlet.close();
  await assert.rejects(tool.result, /no more of it/);
  assert.equal(openFiles(), before);
});

test('a program that is not there leaves nothing open', async () => {
  const before = openFiles();
  await assert.rejects(Inlet.into((stdin) => startTool({ file: 'no-such-program', args: [], stdin })), { code: 'tool' });
  assert.equal(openFiles(), before);
});
