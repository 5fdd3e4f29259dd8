/** Which schedules are for which component of which target. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Schedule } from '../../../../src/config/config.ts';
import { dueTimes } from '../../../../src/operations/status/schedule.ts';

process.env['TZ'] = 'UTC';
const nowMs = Date.parse('2026-03-01T12:30:00Z');
const schedule = (more: Partial<Schedule> = {}): Schedule => ({
  id: 'id',
  name: 'nightly',
  type: 'full',
  cronExpression: '15 2 * * *',
  enabled: true,
  timezone: undefined,
  options: {},
  missed: 'once',
  graceMs: 3_600_000,
  timeoutMs: undefined,
  attempts: 3,
  ...more,
});
const due = (
  schedules: readonly Schedule[],
  {
    target = 'main',
    component = 'database',
    defaultTarget,
  }: { target?: string; component?: string; defaultTarget?: string } = {},
): unknown => {
  const found = dueTimes({ schedules, defaultTarget, targets: new Map() }, target, component, nowMs);
  const text = (ms: number | undefined): string | undefined =>
    ms === undefined ? undefined : new Date(ms).toISOString().slice(5, 16);
  return found === undefined ? undefined : [found.schedules.join(), text(found.dueMs), text(found.nextMs)];
};

test('the latest of all that are for it, an hour ago or earlier, and the earliest to come', () => {
  const hourly = schedule({ name: 'hourly', type: 'database', cronExpression: '@hourly' });
  assert.deepEqual(due([schedule()]), ['nightly', '03-01T02:15', '03-02T02:15']);
  assert.deepEqual(
    due([schedule(), hourly]),
    ['nightly,hourly', '03-01T11:00', '03-01T13:00'],
    'the one of 12:00 may still be at work',
  );
  assert.deepEqual(due([schedule(), hourly], { component: 'redis' }), ['nightly', '03-01T02:15', '03-02T02:15']);
});

test('in its own zone, and with its own time of grace', () => {
  assert.deepEqual(due([schedule({ timezone: 'Asia/Tokyo' })]), ['nightly', '02-28T17:15', '03-01T17:15']);
  const quick = schedule({ cronExpression: '20 12 * * *', graceMs: 5 * 60_000 });
  assert.deepEqual(due([quick]), ['nightly', '03-01T12:20', '03-02T12:20']);
});

test('none: switched off, for another component or target, at every start', () => {
  for (const more of [
    { enabled: false },
    { type: 'redis' as const },
    { options: { target: 'other' } },
    { cronExpression: '@reboot' },
  ]) {
    assert.equal(due([schedule(more)]), undefined);
  }
});

test('one that names no target is for the default one, else for all', () => {
  assert.notEqual(due([schedule()], { target: 'any' }), undefined);
  assert.equal(due([schedule()], { target: 'any', defaultTarget: 'main' }), undefined);
  assert.notEqual(due([schedule({ options: { target: 'any' } })], { target: 'any', defaultTarget: 'main' }), undefined);
});
