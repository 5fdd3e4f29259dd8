/** Streams of programs, cut by threads that are used again: one that has died is not. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, beforeEach, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { startTool } from '../../../../src/lib/exec.ts';
import { ChunkThreads } from '../../../../src/repository/chunks/stream.ts';
import { defaultChunkSizes } from '../../../../src/repository/chunks/cut-points.ts';
import { gearTable } from '../../../../src/repository/chunks/gear.ts';
import type { Slab } from '../../../../src/repository/chunks/slab.ts';
import type { ArtifactBody } from '../../../../src/source/source.ts';

/** What waits for ever must not keep the tests waiting for longer. */
const timeout = 30_000;

let threads: ChunkThreads;
const workers: Worker[] = [];
const onWorker = (worker: Worker): void => void workers.push(worker);

beforeEach(() => {
  threads = new ChunkThreads();
  process.on('worker', onWorker);
});
afterEach(async () => {
  process.off('worker', onWorker);
  workers.length = 0;
  await threads.close();
});

const outputOf = (file: string, ...args: string[]): ArtifactBody => ({
  from: 'tool',
  run: async (stdout, signal) => {
    const { result } = await startTool({ file, args, stdout, signal });
    return { done: result.then(() => {}) };
  },
});

const cut = (body: ArtifactBody): AsyncGenerator<Slab> =>
  threads.cut(body, {
    gear: gearTable(undefined, 'test'),
    idKey: undefined,
    sizes: defaultChunkSizes,
    hangTimeoutMs: 2 * timeout,
    signal: new AbortController().signal,
  });

async function lengthOf(slabs: AsyncIterable<Slab>): Promise<number> {
  let bytes = 0;
  for await (const slab of slabs) {
    for (const { plain } of slab.chunks) bytes += plain.length;
    slab.release();
  }
  return bytes;
}

const twentyMegabytes = outputOf('head', '-c', '20000000', '/dev/zero');

test('a thread is used again after a stream, and after one that was left early', { timeout }, async () => {
  assert.equal(await lengthOf(cut(twentyMegabytes)), 20_000_000);
  for await (const _ of cut(outputOf('cat', '/dev/zero'))) break;
  assert.equal(await lengthOf(cut(twentyMegabytes)), 20_000_000);
  assert.equal(workers.length, 1);
});

test('a thread that dies in the middle of a stream fails it, and the next one gets another', { timeout }, async () => {
  const stream = cut(outputOf('cat', '/dev/zero'));
  assert.equal((await stream.next()).done, false);
  await workers[0]?.terminate();
  await assert.rejects(lengthOf(stream), /the reader thread failed: it ended/);
  assert.equal(await lengthOf(cut(twentyMegabytes)), 20_000_000);
  assert.equal(workers.length, 2);
});

test('a thread that dies while it has nothing to do is not used again', { timeout }, async () => {
  assert.equal(await lengthOf(cut(twentyMegabytes)), 20_000_000);
  const [worker] = workers as [Worker];
  const ended = once(worker, 'exit');
  await worker.terminate();
  await ended;
  assert.equal(await lengthOf(cut(twentyMegabytes)), 20_000_000);
  assert.equal(workers.length, 2);
});
