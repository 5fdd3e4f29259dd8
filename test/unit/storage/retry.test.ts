import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { withFaults, type Fault } from '../../helpers/storage/faulty-storage.ts';
import { openLocalStorage } from '../../../src/storage/local/local.ts';
import { trackOutage } from '../../../src/storage/outage.ts';
import { withRetry, type StorageRetryOptions } from '../../../src/storage/retry.ts';
import { AlreadyExistsError, NotFoundError, StorageError } from '../../../src/storage/storage.ts';
import { keysOf } from '../../contract/storage-suite.ts';

const dir = mkdtempSync(join(tmpdir(), 'lifeboat-retry-'));
after(() => rmSync(dir, { recursive: true, force: true }));
let count = 0;
const quick: StorageRetryOptions = { budgetMs: 5000, firstPauseMs: 1, maxPauseMs: 5 };
const faulty = (faults: readonly Fault[]) =>
  withFaults(openLocalStorage(join(dir, String(count++)), { create: true }), faults);

test('passing faults of every method are ridden out, and told', async () => {
  const told: string[] = [];
  const inner = faulty([
    { method: 'put', call: 1, times: 3, kind: 'before' },
    { method: 'get', call: 1, times: 2, kind: 'cut' },
    { method: 'stat', call: 1, kind: 'before' },
    { method: 'remove', call: 1, kind: 'after' },
    { method: 'list', call: 1, kind: 'before' },
  ]);
  const storage = withRetry(inner, { ...quick, onRetry: (message) => told.push(message) });
  await storage.put('a', [Buffer.from('x')]);
  assert.equal(String(await storage.get('a')), 'x');
  assert.equal((await storage.stat('a')).sizeBytes, 1);
  assert.deepEqual(await keysOf(storage, ''), ['a']);
  await storage.remove(['a']);
  assert.deepEqual(await keysOf(storage, ''), []);
  assert.deepEqual(inner.calls, { put: 4, get: 3, stat: 2, list: 3, remove: 2 });
  assert.equal(told.length, 2, told.join('\n'));
  assert.match(told[0] ?? '', /^injected fault: before put; trying again in \d+\.\d s$/);
  assert.match(told[1] ?? '', /^the storage answers again after \d+\.\d s; failed tries: 3$/);
});

test('an outage that hits many calls at once is told once, and so is its end', async () => {
  const told: string[] = [];
  const inner = faulty([{ method: 'put', call: 1, times: 60, kind: 'before' }]);
  const storage = withRetry(inner, { ...quick, onRetry: (message) => told.push(message) });
  await Promise.all(Array.from({ length: 20 }, (_, n) => storage.put(`k${n}`, [])));
  assert.equal(inner.calls.put, 80);
  assert.equal(told.length, 2, told.join('\n'));
  assert.match(told[1] ?? '', /; failed tries: 60$/);
});

test('a long outage is told now and then; one that ends the call has no end; one soon after is not told', () => {
  const told: string[] = [];
  let now = 0;
  const outage = trackOutage(
    (message) => told.push(message),
    () => now,
  );
  const [one, two] = [outage(), outage()];
  for (; now <= 75_000; now += 5000) for (const call of [one, two]) call.failed('no answer', 5000);
  one.ended(false);
  two.ended(false);
  assert.deepEqual(told, [
    'no answer; trying again in 5.0 s',
    'still, after 15.0 s, 7 failed tries (2 calls wait): no answer',
    'still, after 45.0 s, 19 failed tries (2 calls wait): no answer',
  ]);
  told.length = 0;
  for (const call of [outage(), outage()]) {
    call.failed('no answer', 1000);
    call.ended(true);
  }
  assert.deepEqual(told, [], 'within the quiet time');
  now += 600_000;
  const later = outage();
  later.failed('no answer', 1000);
  now += 1500;
  later.ended(true);
  assert.deepEqual(told, [
    'no answer; trying again in 1.0 s',
    'the storage answers again after 1.5 s; failed tries: 1',
  ]);
});

test('a listing that breaks goes on behind the last key it gave, without a gap or a repeat', async () => {
  const inner = faulty([{ method: 'list', call: 1, times: 3, kind: 'cut', cutAfter: 7 }]);
  const storage = withRetry(inner, quick);
  const keys = Array.from({ length: 30 }, (_, n) => `k/${String(n).padStart(2, '0')}`);
  for (const key of keys) await storage.put(key, []);
  assert.deepEqual(await keysOf(storage, 'k/'), keys);
  assert.equal(inner.calls.list, 4);
  assert.deepEqual(await keysOf(storage, 'k/', 'k/27'), ['k/28', 'k/29']);
});

test('what will not pass is not repeated', async () => {
  const inner = faulty([
    { method: 'put', call: 3, kind: 'before', error: () => new StorageError('credentials refused') },
    { method: 'put', call: 4, kind: 'before', error: () => new TypeError('a bug') },
  ]);
  const storage = withRetry(inner, quick);
  await storage.put('a', []);
  await assert.rejects(storage.put('a', []), AlreadyExistsError);
  await assert.rejects(storage.put('b', []), /credentials refused/);
  await assert.rejects(storage.put('b', []), TypeError);
  await assert.rejects(storage.get('b'), NotFoundError);
  assert.deepEqual(inner.calls, { put: 4, get: 1, stat: 0, list: 0, remove: 0 });
});

test('a fault that stays fails with its own error once the budget is used up', async () => {
  const inner = faulty([{ method: 'get', call: 1, times: 1e9, kind: 'before' }]);
  const started = performance.now();
  await assert.rejects(
    withRetry(inner, { budgetMs: 300, firstPauseMs: 20, maxPauseMs: 50 }).get('a'),
    (error) => error instanceof StorageError && error.retryable && error.exitCode === 20,
  );
  const tookMs = performance.now() - started;
  assert.ok(tookMs > 200 && tookMs < 20_000, `${tookMs} ms`);
  assert.ok(inner.calls.get >= 2 && inner.calls.get <= 31, `${inner.calls.get} calls`);
});

test('an abort ends a pause at once, with its reason', async () => {
  const stop = new AbortController();
  const reason = new Error('stopped by SIGTERM');
  const storage = withRetry(faulty([{ method: 'put', call: 1, times: 1e9, kind: 'before' }]), {
    budgetMs: 60_000,
    firstPauseMs: 30_000,
    signal: stop.signal,
  });
  setTimeout(() => stop.abort(reason), 50);
  const started = performance.now();
  await assert.rejects(storage.put('a', []), (error) => error === reason);
  assert.ok(performance.now() - started < 20_000);
});
