/** Streams of programs, cut by threads that are used again: one that has died is not. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { startTool } from '../../../../src/lib/exec.ts';
import { openFifo } from '../../../../src/lib/fifo.ts';
import { ChunkThreads } from '../../../../src/repository/chunks/stream.ts';
import { defaultChunkSizes } from '../../../../src/repository/chunks/cut-points.ts';
import { gearTable } from '../../../../src/repository/chunks/gear.ts';
import type { Slab } from '../../../../src/repository/chunks/slab.ts';
import type { ArtifactBody, OpenPipe } from '../../../../src/source/source.ts';

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

test('a pipe carries one artifact after the other, whose ends lie in its frames', { timeout }, async () => {
  const parts = [30, 5_000_000, 0, 9_000_000, 3].map((bytes, n) => framed(n, Buffer.alloc(bytes, n + 65)));
  const pipe = await filledPipe(Buffer.concat(parts));
  let read: Uint8Array = new Uint8Array(0);
  for (const [n, part] of parts.entries()) {
    const head = Buffer.from(`head ${n}`);
    const frames = { begin: Buffer.from([n]), read };
    const body = pipe.body({ head, frames, release: (surplus) => (read = surplus) });
    assert.deepEqual(await bytesOf(cut(body)), Buffer.concat([head, part]), `artifact ${n}`);
  }
  assert.equal(read.length, 0);
  await pipe.close();
});

test('a pipe that breaks off within its frames fails with what its program died of', { timeout }, async () => {
  const pipe = await filledPipe(framed(1, Buffer.alloc(100)).subarray(0, 50));
  const died = new Error('the program was killed');
  const frames = { begin: Buffer.from([1]), read: new Uint8Array(0) };
  let released = false;
  const body = pipe.body({ frames, done: Promise.reject(died), release: () => (released = true) });
  await assert.rejects(bytesOf(cut(body)), died);
  assert.equal(released, true);
  await pipe.close();
});

test('a pipe that holds something else than was announced fails', { timeout }, async () => {
  const pipe = await filledPipe(framed(1, Buffer.alloc(100)));
  const frames = { begin: Buffer.from([2]), read: new Uint8Array(0) };
  await assert.rejects(bytesOf(cut(pipe.body({ frames }))), /cannot read the stream: other data came/);
  await pipe.close();
});

/** What begins it, and the data in frames of 999 bytes. */
function framed(begin: number, data: Uint8Array): Buffer<ArrayBuffer> {
  const parts: Uint8Array[] = [Buffer.from([begin])];
  for (let at = 0; at <= data.length; at += 999) {
    const part = data.subarray(at, at + 999);
    const head = Buffer.alloc(5);
    head.writeUInt32LE(part.length, 1);
    parts.push(head, part);
  }
  return Buffer.concat(data.length % 999 === 0 ? parts : [...parts, Buffer.alloc(5)]);
}

interface FilledPipe {
  body(more: Partial<OpenPipe>): ArtifactBody;
  close(): Promise<void>;
}

async function filledPipe(bytes: Uint8Array): Promise<FilledPipe> {
  const { readFd, writeFd } = await openFifo();
  const { result, stdin } = await startTool({ file: 'cat', args: [], stdin: 'pipe', stdout: writeFd });
  closeSync(writeFd);
  stdin?.end(bytes);
  const done = result.then(() => {});
  return {
    body: (more) => ({
      from: 'pipe',
      open: () => ({ head: new Uint8Array(0), readFd, done, release: () => {}, ...more }),
    }),
    close: async () => {
      closeSync(readFd);
      await done.catch(() => {});
    },
  };
}

async function bytesOf(slabs: AsyncIterable<Slab>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const slab of slabs) {
    for (const { plain } of slab.chunks) parts.push(new Uint8Array(plain));
    slab.release();
  }
  return Buffer.concat(parts);
}
