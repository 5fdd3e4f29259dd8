/** When a daemon looks at a schedule, under clocks of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Schedule } from '../../../../src/config/config.ts';
import { Agenda } from '../../../../src/operations/daemon/agenda.ts';
import { clockChange, type Now } from '../../../../src/operations/daemon/clock.ts';

const minuteMs = 60_000;
const startMs = Date.parse('2026-03-01T12:00:30Z');
const schedule = (id: string, more: Partial<Schedule> = {}): Schedule => ({
  id,
  name: id,
  type: 'files',
  cronExpression: '0 * * * *',
  timezone: 'UTC',
  enabled: true,
  options: {},
  missed: 'once',
  graceMs: minuteMs,
  timeoutMs: undefined,
  attempts: 3,
  ...more,
});
/** After so many minutes; the wall clock may have been set by so many more. */
const at = (minutes: number, setBy = 0): Now => {
  return { wallMs: startMs + (minutes + setBy) * minuteMs, steadyMs: minutes * minuteMs };
};
const ids = (agenda: Agenda, now: Now): string[] => agenda.due(now).map(({ id }) => id);

function settled(agenda: Agenda, id: string, now: Now): void {
  agenda.begin(id, now);
  agenda.end(id, { outcome: 'settled' }, now);
}

test('each is looked at once at the start, and once for each of its moments; never beside itself', () => {
  const agenda = new Agenda();
  const boot = schedule('boot', { cronExpression: '@reboot' });
  const without = agenda.set([schedule('a'), boot, schedule('off', { enabled: false })]);
  assert.deepEqual(without, [boot]);
  assert.deepEqual(ids(agenda, at(0)), ['a']);
  agenda.begin('a', at(0));
  assert.deepEqual(ids(agenda, at(61)), [], 'it runs');
  agenda.end('a', { outcome: 'settled' }, at(61));
  assert.deepEqual(ids(agenda, at(61)), ['a'], 'its moment came while it ran');
  settled(agenda, 'a', at(61));
  assert.deepEqual(ids(agenda, at(62)), []);
  assert.equal(agenda.waitMs(at(62), 3_600_000), 57.5 * minuteMs);
  assert.equal(agenda.waitMs(at(62), 30_000), 30_000);
});

test('what is to be looked at again is, after growing pauses where nothing was found out', () => {
  const agenda = new Agenda();
  agenda.set([schedule('a', { cronExpression: '0 0 1 1 *' })]);
  const waits = (outcome: 'unknown' | 'elsewhere', times: number): unknown[] =>
    Array.from({ length: times }, () => {
      agenda.begin('a', at(0));
      return (agenda.end('a', { outcome }, at(0)) ?? 0) / minuteMs;
    });
  assert.deepEqual(waits('unknown', 5), [1, 5, 25, 25, 25]);
  assert.deepEqual(ids(agenda, at(24)), []);
  assert.deepEqual(ids(agenda, at(25)), ['a']);
  assert.deepEqual(waits('elsewhere', 5), [0.25, 0.5, 1, 2, 2]);
  agenda.begin('a', at(0));
  assert.equal(agenda.end('a', { outcome: 'again', againMs: at(3).wallMs }, at(0)), 3 * minuteMs);
  assert.equal(agenda.waitMs(at(1), 3_600_000), 2 * minuteMs);
});

test('a clock that is set, forward or back, puts nothing off and leaves nothing out', () => {
  const agenda = new Agenda();
  agenda.set([schedule('a')]);
  settled(agenda, 'a', at(0));
  assert.deepEqual(ids(agenda, at(1, 24 * 60)), ['a'], 'a day ahead: a moment has passed');
  settled(agenda, 'a', at(1, 24 * 60));
  assert.deepEqual(ids(agenda, at(2)), ['a'], 'and back again: looked at, and found settled');
  settled(agenda, 'a', at(2));
  assert.deepEqual(ids(agenda, at(58)), []);
  assert.deepEqual(ids(agenda, at(60)), ['a']);
  agenda.begin('a', at(60));
  agenda.end('a', { outcome: 'unknown' }, at(60));
  settled(agenda, 'a', at(60, -600));
  agenda.begin('a', at(60));
  agenda.end('a', { outcome: 'unknown' }, at(60));
  assert.ok(ids(agenda, at(61, -3)).includes('a'), 'pauses do not go by the clock that was set');
});

test('a new configuration keeps what was found out of schedules that have the same moments', () => {
  const agenda = new Agenda();
  agenda.set([schedule('a'), schedule('b')]);
  settled(agenda, 'a', at(0));
  settled(agenda, 'b', at(0));
  agenda.set([schedule('a', { attempts: 1 }), schedule('b', { cronExpression: '30 * * * *' }), schedule('c')]);
  assert.deepEqual(ids(agenda, at(1)).toSorted(), ['b', 'c']);
  agenda.begin('b', at(1));
  agenda.set([schedule('b', { cronExpression: '15 * * * *' })]);
  assert.deepEqual(ids(agenda, at(2)), [], 'it still runs');
  agenda.set([]);
  assert.equal(agenda.end('b', { outcome: 'settled' }, at(2)), undefined);
});

test('a clock that was set, and a machine that slept, are told', () => {
  assert.equal(clockChange(at(0), at(0.5)), undefined);
  assert.equal(clockChange(at(0), at(0.5, 60)), 'the clock was set forward by 1 h 00 min');
  assert.equal(clockChange(at(0), at(0.5, -60)), 'the clock was set back by 1 h 00 min');
  assert.equal(clockChange(at(0), at(90)), 'this process did not run for 1 h 30 min');
});
