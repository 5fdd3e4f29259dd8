/**
 * What a thread writes into programs' standard inputs is what they read; and neither a program that ends early nor one
 * that hangs keeps anybody waiting for ever.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { type RunningTool, startTool } from '../../../src/lib/exec.ts';
import { Inlets } from '../../../src/lib/inlets.ts';

const start =
  (file: string, ...args: string[]) =>
  (stdin: number): Promise<RunningTool> =>
    startTool({ file, args, stdin });

/**
 * Runs `work` with a thread of its own; afterwards, and after what it resolves to, no more files are open than before.
 */
async function withInlets(work: (inlets: Inlets) => Promise<void | (() => Promise<void>)>): Promise<void> {
  const openFiles = (): number => readdirSync('/proc/self/fd').length;
  const before = openFiles();
  let after: void | (() => Promise<void>);
  {
    await using inlets = new Inlets();
    after = await work(inlets);
  }
  await after?.();
  assert.equal(openFiles(), before);
}

test('three programs side by side read all bytes in order, of whole buffers and of parts of larger ones', async () => {
  await withInlets(async (inlets) => {
    await Promise.all(
      [1, 2, 3].map(async (seed) => {
        const { tool, inlet } = await inlets.into(start('sha256sum'));
        const hash = createHash('sha256');
        for (let n = 0; n < 200; n++) {
          const large = randomBytes(1 + ((n * seed * 7919) % 300_000));
          const piece =
            n % 3 === 0
              ? large.subarray(large.length >> 2, large.length >> 1)
              : n % 3 === 1
                ? Buffer.from(large)
                : new Uint8Array(new SharedArrayBuffer(n)).fill(n);
          hash.update(piece);
          assert.equal(await inlet.write(piece), true);
        }
        await inlet.close();
        assert.equal((await tool.result).stdout.split(' ')[0], hash.digest('hex'));
      }),
    );
  });
});

test('a part of a buffer is taken, and the rest of it stays with its owner', async () => {
  await withInlets(async (inlets) => {
    const { tool, inlet } = await inlets.into(start('cat'));
    const whole = Buffer.from(new TextEncoder().encode('onetwothree').buffer);
    await inlet.write(whole.subarray(3, 6));
    await inlet.write(whole);
    await inlet.close();
    assert.equal((await tool.result).stdout, 'twoonetwothree');
    assert.equal(whole.length, 0);
  });
});

test('a program that gets nothing reads the end', async () => {
  await withInlets(async (inlets) => {
    const { tool, inlet } = await inlets.into(start('wc', '-c'));
    await inlet.close();
    assert.equal((await tool.result).stdout, '0\n');
  });
});

test('a program that ends before it has read all is said to read no more; another goes on', async () => {
  await withInlets(async (inlets) => {
    const [short, long] = [await inlets.into(start('head', '-c', '100000')), await inlets.into(start('wc', '-c'))];
    let pieces = 0;
    while (await short.inlet.write(Buffer.alloc(1_000_000, 'x'))) assert.ok(pieces++ < 1000);
    assert.equal(await short.inlet.write(Buffer.alloc(10)), false);
    await short.inlet.close();
    assert.equal((await short.tool.result).stdout, 'x'.repeat(100_000));
    for (let n = 0; n < 5; n++) assert.equal(await long.inlet.write(Buffer.alloc(1_000_000)), true);
    await long.inlet.close();
    assert.equal((await long.tool.result).stdout, '5000000\n');
  });
});

test('a program that reads nothing holds its writer back, and no other, until it is ended', async () => {
  await withInlets(async (inlets) => {
    const stop = new AbortController();
    const { tool, inlet } = await inlets.into((stdin) =>
      startTool({ file: 'sleep', args: ['1000'], stdin, signal: stop.signal }),
    );
    const first = await inlet.write(Buffer.alloc(1_000_000));
    const second = inlet.write(Buffer.alloc(1_000_000));
    const other = await inlets.into(start('wc', '-c'));
    assert.equal(await other.inlet.write(Buffer.alloc(3_000_000)), true);
    await other.inlet.close();
    assert.equal((await other.tool.result).stdout, '3000000\n');
    assert.equal(await Promise.race([second, sleep(300, 'waits')]), 'waits');
    stop.abort(new Error('no more of it'));
    assert.deepEqual([first, await second], [true, false]);
    await inlet.close();
    await assert.rejects(tool.result, /no more of it/);
  });
});

test('what is still open when all ends is closed, and nobody waits for it any more', async () => {
  await withInlets(async (inlets) => {
    const { tool, inlet } = await inlets.into(start('sh', '-c', 'sleep 1; wc -c'));
    assert.equal(await inlet.write(Buffer.alloc(1_000_000)), true);
    const waiting = inlet.write(Buffer.alloc(1_000_000)).catch(() => false);
    return async () => {
      assert.equal(await waiting, false);
      // Its input ends: nobody else holds it open.
      assert.ok(Number((await tool.result).stdout) >= 60_000);
    };
  });
});

test('a program that is not there leaves nothing open', async () => {
  await withInlets(async (inlets) => {
    await assert.rejects(inlets.into(start('no-such-program')), { code: 'tool' });
  });
});

test('a thread that dies while a program is started: its writer is told, and its input is left open', async () => {
  const workers: Worker[] = [];
  const onWorker = (worker: Worker): void => void workers.push(worker);
  process.on('worker', onWorker);
  await withInlets(async (inlets) => {
    const stop = new AbortController();
    const { tool, inlet } = await inlets.into(async (stdin) => {
      await workers[0]?.terminate();
      return startTool({ file: 'wc', args: ['-c'], stdin, signal: stop.signal });
    });
    for (let n = 0; n < 3; n++) await assert.rejects(inlet.write(Buffer.alloc(10)), /the writing thread ended/);
    await assert.rejects(inlet.close(), /the writing thread ended/);
    assert.equal(await Promise.race([tool.result, sleep(100, 'waits')]), 'waits');
    stop.abort(new Error('no more of it'));
    await assert.rejects(tool.result, /no more of it/);
    await assert.rejects(inlets.into(start('cat')), /the writing thread ended/);
  });
  process.off('worker', onWorker);
});
