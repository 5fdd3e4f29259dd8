/** Loops side by side keep within their bounds; no failure or abort leaves anything running or waiting. */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { after, test } from 'node:test';
import { forEachSideBySide, mapInOrder, Places } from '../../../src/lib/concurrency.ts';
import { HeldTasks, watch } from '../../helpers/concurrency/held-tasks.ts';

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
process.on('unhandledRejection', note);
after(async () => {
  await turn();
  process.off('unhandledRejection', note);
  assert.deepEqual(unhandled, []);
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

test('for each: items of a source without end are taken only when there is a place for them', async () => {
  const tasks = new HeldTasks();
  let taken = 0;
  let isClosed = false;
  const endless = async function* (): AsyncGenerator<number> {
    try {
      for (;;) yield ++taken;
    } finally {
      isClosed = true;
    }
  };
  const stop = new AbortController();
  const reason = new Error('enough');
  const all = forEachSideBySide(endless(), 2, tasks.runVoid, stop.signal);
  const seen = watch(all);
  await turn();
  await tasks.end(1);
  assert.deepEqual([taken, tasks.begun], [3, [1, 2, 3]]);
  stop.abort(reason);
  await turn();
  assert.equal(seen.settled, false, 'two still run');
  await tasks.end(2);
  await tasks.end(3);
  await assert.rejects(all, reason);
  assert.deepEqual([taken, isClosed, tasks.most], [3, true, 2]);
});

test('for each: after a failure no item is begun, and all that run are awaited', async () => {
  const tasks = new HeldTasks();
  const failure = new Error('first');
  const all = forEachSideBySide([1, 2, 3, 4, 5], 3, tasks.runVoid);
  const seen = watch(all);
  await turn();
  await tasks.fail(2, failure);
  await tasks.fail(1, new Error('second'));
  assert.equal(seen.settled, false, 'one still runs');
  await tasks.end(3);
  await assert.rejects(all, failure);
  assert.deepEqual(tasks.begun, [1, 2, 3]);
});

test('for each: a source that throws ends it once all that run have ended', async () => {
  const tasks = new HeldTasks();
  const failure = new Error('the source broke');
  const broken = async function* (): AsyncGenerator<number> {
    yield 1;
    throw failure;
  };
  const all = forEachSideBySide(broken(), 4, tasks.runVoid);
  const seen = watch(all);
  await turn();
  assert.equal(seen.settled, false);
  await tasks.end(1);
  await assert.rejects(all, failure);
});

test('for each: every item once, also with more places than items and with none at all', async () => {
  for (const items of [[], [1], [1, 2, 3, 4, 5, 6, 7]]) {
    for (const limit of [0, 1, 3, 20]) {
      const seen: number[] = [];
      await forEachSideBySide(items, limit, async (n) => {
        await turn();
        seen.push(n);
      });
      assert.deepEqual(new Set(seen), new Set(items));
      assert.equal(seen.length, items.length);
    }
  }
});

test('in order: results come in the order of the items, whichever is ready first', async () => {
  const tasks = new HeldTasks();
  const all = collect(mapInOrder([1, 2, 3], tasks.run, 3));
  await turn();
  for (const n of [3, 1, 2]) await tasks.end(n);
  assert.deepEqual(await all, [1, 2, 3]);
});

test('in order: no more under way or waiting than allowed, and spare places while there are', async () => {
  const spare = new Places(1);
  const begun: number[] = [];
  const items = [1, 2, 3, 4, 5, 6];
  const task = async (n: number): Promise<number> => {
    begun.push(n);
    return n;
  };
  const results = mapInOrder(items, task, 2, spare);
  assert.deepEqual(await results.next(), { done: false, value: 1 });
  assert.deepEqual(begun, [1, 2, 3], 'two of its own and the spare one');
  const other = mapInOrder(items, task, 2, spare);
  await other.next();
  assert.deepEqual(begun, [1, 2, 3, 1, 2], 'there is no spare one left');
  await other.return(undefined);
  assert.deepEqual(await collect(results), [2, 3, 4, 5, 6]);
  assert.equal(spare.takeFree(), true);
});

test('in order: what comes before a failure is given, none begins after it, and all that run are awaited', async () => {
  const tasks = new HeldTasks();
  const failure = new Error('first');
  const given: number[] = [];
  const all = (async () => {
    for await (const n of mapInOrder([1, 2, 3, 4, 5], tasks.run, 3)) given.push(n);
  })();
  const seen = watch(all);
  await turn();
  await tasks.fail(2, failure);
  await tasks.end(1);
  assert.equal(seen.settled, false, 'the third still runs');
  await tasks.end(3);
  await assert.rejects(all, failure);
  assert.deepEqual([given, tasks.begun], [[1], [1, 2, 3]]);
});

test('in order: a source that throws ends it once all that run have ended', async () => {
  const tasks = new HeldTasks();
  const failure = new Error('the source broke');
  const broken = async function* (): AsyncGenerator<number> {
    yield 1;
    throw failure;
  };
  const all = collect(mapInOrder(broken(), tasks.run, 4));
  const seen = watch(all);
  await turn();
  assert.equal(seen.settled, false);
  await tasks.fail(1, new Error('too late to be the first'));
  await assert.rejects(all, failure);
});

test('in order: who leaves early waits for what is under way, and its source is closed', async () => {
  const tasks = new HeldTasks();
  const spare = new Places(1);
  let isClosed = false;
  const endless = function* (): Generator<number> {
    try {
      for (let n = 1; ; n++) yield n;
    } finally {
      isClosed = true;
    }
  };
  const results = mapInOrder(endless(), tasks.run, 2, spare);
  const first = results.next();
  await turn();
  await tasks.end(1);
  await first;
  const left = results.return(undefined);
  const seen = watch(left);
  await turn();
  assert.equal(seen.settled, false, 'two still run');
  await tasks.fail(2, new Error('nobody asks any more'));
  await tasks.end(3);
  await left;
  assert.deepEqual([isClosed, tasks.begun, spare.takeFree()], [true, [1, 2, 3], true]);
});
