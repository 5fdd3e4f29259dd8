/** Which due moments run, which are left out, and what a missed one comes to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseSlots, type KnownSlot, type SlotRules } from '../../../../src/operations/due-slots.ts';

const at = (text: string): number => Date.parse(`2026-03-${text}Z`);
const rules = (more: Partial<SlotRules> = {}): SlotRules => ({
  cronExpression: '0 3 * * *',
  timezone: 'UTC',
  sinceMs: at('01T00:00'),
  graceMs: 3_600_000,
  missed: 'once',
  attempts: 3,
  ...more,
});
const known = (outcome: KnownSlot['outcome'], ...due: string[]): KnownSlot[] =>
  due.map((each) => ({ dueMs: at(each), outcome }));
const choose = (now: string, slots: readonly KnownSlot[], more: Partial<SlotRules> = {}): unknown => {
  const { runs, skips } = chooseSlots(rules(more), slots, at(now));
  const text = (ms: number): string => new Date(ms).toISOString().slice(8, 16);
  return [runs.map(({ dueMs, attempt, covers }) => `${text(dueMs)} #${attempt} +${covers}`), skips.map(text)];
};

test('the moment that is due runs, unless it is settled or before the schedule began', () => {
  assert.deepEqual(choose('01T02:59', []), [[], []]);
  assert.deepEqual(choose('01T03:00', []), [['01T03:00 #1 +0'], []]);
  assert.deepEqual(choose('01T03:00', known('done', '01T03:00')), [[], []]);
  assert.deepEqual(choose('01T09:00', [], { sinceMs: at('01T08:00') }), [[], []]);
});

test('missed moments: once stands for all, all runs each, skip leaves them out', () => {
  const done = known('done', '01T03:00');
  assert.deepEqual(choose('04T03:10', done), [['04T03:00 #1 +2'], []]);
  assert.deepEqual(choose('04T23:00', done), [['04T03:00 #1 +2'], []], 'also when it is late itself');
  assert.deepEqual(choose('04T03:10', done, { missed: 'all' }), [
    ['02T03:00 #1 +0', '03T03:00 #1 +0', '04T03:00 #1 +0'],
    [],
  ]);
  assert.deepEqual(choose('04T03:10', done, { missed: 'skip' }), [['04T03:00 #1 +0'], ['02T03:00', '03T03:00']]);
  assert.deepEqual(choose('04T23:00', done, { missed: 'skip' }), [[], ['02T03:00', '03T03:00', '04T03:00']]);
});

test('failed and hung attempts are counted, aborted ones are not', () => {
  const failed = known('failed', '01T03:00');
  assert.deepEqual(choose('01T03:30', failed), [['01T03:00 #2 +0'], []]);
  assert.deepEqual(choose('01T03:30', [...failed, ...known('hung', '01T03:00'), ...failed]), [[], []]);
  assert.deepEqual(choose('01T03:30', [...failed, ...known('aborted', '01T03:00')]), [['01T03:00 #2 +0'], []]);
  assert.deepEqual(choose('02T03:00', [...failed, ...failed, ...failed]), [['02T03:00 #1 +0'], []]);
});

test('what lies in the future settles nothing, and a clock set back runs nothing twice', () => {
  assert.deepEqual(choose('02T03:00', known('done', '01T03:00', '09T03:00')), [['02T03:00 #1 +0'], []]);
  assert.deepEqual(choose('01T12:00', known('done', '01T03:00', '02T03:00')), [[], []]);
});

test('years without a run come to a hundred moments at most', () => {
  const { runs } = chooseSlots(rules({ missed: 'all', sinceMs: Date.parse('2020-01-01') }), [], at('01T04:00'));
  assert.equal(runs.length, 100);
  assert.deepEqual(choose('01T04:00', [], { cronExpression: '@reboot' }), [[], []]);
});
