import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeboatError } from '../../../src/lib/errors.ts';
import { pause } from '../../../src/lib/pause.ts';

test('an abort ends it with its own reason, before and while it waits', async () => {
  const reason = new LifeboatError('storage', 'the bucket is gone');
  await assert.rejects(pause(60_000, AbortSignal.abort(reason)), (error) => error === reason);
  const abort = new AbortController();
  const waiting = pause(60_000, abort.signal);
  abort.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
});

test('without one it ends', async () => {
  await pause(1, undefined);
  await pause(1, new AbortController().signal);
});
