/** When a daemon tries the slots that were chosen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseSlots, type SlotRules } from '../../../../src/operations/due-slots.ts';
import { triesOf, type TriedSlot } from '../../../../src/operations/schedule/next-try.ts';

const noon = Date.parse('2026-03-01T12:00:00Z');
const minuteMs = 60_000;
const pausesMs = [1, 5, 25].map((minutes) => minutes * minuteMs);
const rules: SlotRules = {
  cronExpression: '0 * * * *',
  timezone: 'UTC',
  sinceMs: noon - 90 * minuteMs,
  graceMs: 10 * minuteMs,
  missed: 'once',
  attempts: 3,
};

function tries(known: readonly TriedSlot[], nowMs: number, more: Partial<SlotRules> = {}): unknown {
  const { now, againMs } = triesOf(chooseSlots({ ...rules, ...more }, known, nowMs), known, pausesMs, nowMs);
  return {
    now: now.map(({ dueMs, attempt }) => [(dueMs - noon) / minuteMs, attempt]),
    again: againMs && againMs - noon,
  };
}

const failed = (code: string, minutes: number, outcome: 'failed' | 'hung' = 'failed'): TriedSlot => {
  return { dueMs: noon, outcome, code, finishedAt: new Date(noon + minutes * minuteMs).toISOString() };
};

test('what nobody has tried, and what was interrupted, is tried at once', () => {
  assert.deepEqual(tries([], noon), { now: [[0, 1]], again: undefined });
  assert.deepEqual(tries([{ dueMs: noon, outcome: 'aborted' }], noon), { now: [[0, 1]], again: undefined });
  assert.deepEqual(tries([{ dueMs: noon, outcome: 'done' }], noon + 1), { now: [], again: undefined });
});

test('what may pass is tried again after growing pauses, whoever tried it; all else waits for its next moment', () => {
  const once = [failed('storage', 2)];
  assert.deepEqual(tries(once, noon + 2.5 * minuteMs), { now: [], again: 3 * minuteMs });
  assert.deepEqual(tries(once, noon + 3 * minuteMs), { now: [[0, 2]], again: undefined });
  const twice = [...once, failed('crash', 4, 'hung')];
  assert.deepEqual(tries(twice, noon + 5 * minuteMs), { now: [], again: 9 * minuteMs });
  assert.deepEqual(tries([...twice, failed('source', 10)], noon + 99 * 1000), { now: [], again: undefined });
  assert.deepEqual(tries([failed('integrity', 2)], noon + 30 * minuteMs), { now: [], again: undefined });
  assert.deepEqual(tries([failed('integrity', 2)], noon + 60 * minuteMs), { now: [[60, 1]], again: undefined });
});

test('a record of a clock that is ahead puts nothing off for longer than the pause', () => {
  assert.deepEqual(tries([failed('storage', 10_000)], noon), { now: [], again: minuteMs });
});

test('with "all" none overtakes one that waits for its next attempt: it would settle it', () => {
  const nowMs = noon + 60 * minuteMs;
  assert.deepEqual(tries([failed('storage', 59.5)], nowMs, { missed: 'all' }), {
    now: [[-60, 1]],
    again: 60.5 * minuteMs,
  });
});
