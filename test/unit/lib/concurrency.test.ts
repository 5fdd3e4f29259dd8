/** Places and groups of tasks keep within their bounds; no failure or abort leaves anything running or waiting. */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { after, test } from 'node:test';
import { Places, TaskGroup } from '../../../src/lib/concurrency.ts';
import { HeldTasks, watch } from '../../helpers/concurrency/held-tasks.ts';

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
process.on('unhandledRejection', note);
after(async () => {
  await turn();
  process.off('unhandledRejection', note);
  assert.deepEqual(unhandled, []);
});

test('places: no more at once than there are, first come, first served', async () => {
  const places = new Places(2);
  const tasks = new HeldTasks();
  const all = Promise.all([1, 2, 3, 4].map((n) => places.run(() => tasks.run(n))));
  await turn();
  assert.deepEqual(tasks.begun, [1, 2]);
  await tasks.end(2);
  assert.deepEqual(tasks.begun, [1, 2, 3]);
  for (const n of [1, 3, 4]) await tasks.end(n);
  assert.deepEqual(await all, [1, 2, 3, 4]);
  assert.equal(tasks.most, 2);
});

test('places: a task gives its place back whether it throws, rejects or was aborted before it began', async () => {
  const places = new Places(1);
  const thrown = new Error('thrown');
  const throws = (): Promise<never> => {
    throw thrown;
  };
  await assert.rejects(places.run(throws), thrown);
  await assert.rejects(
    places.run(() => Promise.reject(thrown)),
    thrown,
  );
  await assert.rejects(
    places.run(async () => 1, AbortSignal.abort(thrown)),
    thrown,
  );
  assert.equal(await places.run(async () => 'in'), 'in');
});

test('places: an abort reaches who waits, with its reason, and passes the others by', async () => {
  const places = new Places(1);
  const tasks = new HeldTasks();
  const stop = new AbortController();
  const first = places.run(() => tasks.run(1));
  const waiting = places.run(() => tasks.run(2), stop.signal);
  const last = places.run(() => tasks.run(3));
  const reason = new Error('stopped');
  stop.abort(reason);
  await assert.rejects(waiting, reason);
  await tasks.end(1);
  await tasks.end(3);
  assert.deepEqual([await first, await last], [1, 3]);
  assert.deepEqual(tasks.begun, [1, 3]);
});

test('places: an abort in the moment when the place becomes free loses neither the place nor the reason', async () => {
  const places = new Places(1);
  const stop = new AbortController();
  const reason = new Error('stopped');
  await places.take();
  const waiting = places.run(async () => assert.fail('it began'), stop.signal);
  places.give();
  stop.abort(reason);
  await assert.rejects(waiting, reason);
  assert.equal(places.takeFree(), true);
});

test('a group: the first failure is thrown once nothing runs, and no task begins after it', async () => {
  const group = new TaskGroup(new Places(2));
  const tasks = new HeldTasks();
  const failure = new Error('first');
  await group.start(() => tasks.runVoid(1));
  await group.start(() => tasks.runVoid(2));
  const third = group.start(() => tasks.runVoid(3));
  const seen = watch(third);
  await tasks.fail(1, failure);
  assert.equal(group.signal.reason, failure);
  assert.equal(seen.settled, false, 'the second still runs');
  await tasks.fail(2, new Error('second'));
  await assert.rejects(third, failure);
  await assert.rejects(
    group.start(() => tasks.runVoid(4)),
    failure,
  );
  await assert.rejects(group.drain(), failure);
  assert.deepEqual(tasks.begun, [1, 2]);
});

test('a group: places that are shared come back from a group that failed', async () => {
  const places = new Places(1);
  const failed = new TaskGroup(places);
  const tasks = new HeldTasks();
  await failed.start(() => tasks.runVoid(1));
  const other = new TaskGroup(places);
  const waiting = other.start(() => tasks.runVoid(2));
  await tasks.fail(1, new Error('of the first group only'));
  await waiting;
  await tasks.end(2);
  await other.drain();
  assert.deepEqual(tasks.ended, [1, 2]);
});

test('a group: an abort ends the waiting for a place, and what waits after it gets the place', async () => {
  const places = new Places(1);
  const tasks = new HeldTasks();
  const stop = new AbortController();
  const reason = new Error('stopped');
  await new TaskGroup(places).start(() => tasks.runVoid(1));
  const stopped = new TaskGroup(places, stop.signal);
  const waiting = stopped.start(() => tasks.runVoid(2));
  const other = new TaskGroup(places).start(() => tasks.runVoid(3));
  stop.abort(reason);
  await assert.rejects(waiting, reason);
  await tasks.end(1);
  await other;
  await tasks.end(3);
  assert.deepEqual(tasks.begun, [1, 3]);
});

test('a group: given up, it tells its tasks, waits for them, and throws why', async () => {
  const group = new TaskGroup(new Places(2));
  const tasks = new HeldTasks();
  await group.start(() => tasks.runVoid(1));
  const why = new Error('the source broke');
  const given = group.abandon(why);
  const seen = watch(given);
  await turn();
  assert.equal(group.signal.reason, why);
  assert.equal(seen.settled, false);
  await tasks.fail(1, new Error('ended by the signal'));
  await assert.rejects(given, why);
});
