/** Cron expressions against a table of moments, in zones whose clocks change. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { lastMoment, nextMoment, parseCron } from '../../../src/lib/cron.ts';
import { checkTimeZone } from '../../../src/lib/time-zone.ts';

const zoneBefore = process.env['TZ'];
after(() => {
  if (zoneBefore === undefined) delete process.env['TZ'];
  else process.env['TZ'] = zoneBefore;
});

/** Last and next moment of an expression, seen from `now`, both in UTC. */
function around(expression: string, now: string): [string | undefined, string | undefined] {
  const cron = parseCron(expression);
  assert.ok(cron !== undefined);
  const text = (ms: number | undefined): string | undefined =>
    ms === undefined ? undefined : new Date(ms).toISOString().replace(':00.000Z', 'Z');
  return [text(lastMoment(cron, Date.parse(now))), text(nextMoment(cron, Date.parse(now)))];
}

// expression, now, last, next: all in UTC
const golden: readonly [string, string, string, string][] = [
  ['15 2 * * *', '2026-03-01T12:00:00Z', '2026-03-01T02:15Z', '2026-03-02T02:15Z'],
  ['15 2 * * *', '2026-03-01T02:14:59Z', '2026-02-28T02:15Z', '2026-03-01T02:15Z'],
  ['15 2 * * *', '2026-03-01T02:15:00Z', '2026-03-01T02:15Z', '2026-03-02T02:15Z'],
  ['15 2 * * *', '2024-03-01T00:00:00Z', '2024-02-29T02:15Z', '2024-03-01T02:15Z'],
  ['0 * * * *', '2026-01-01T00:00:30Z', '2026-01-01T00:00Z', '2026-01-01T01:00Z'],
  ['*/15 * * * *', '2026-01-01T00:14:59Z', '2026-01-01T00:00Z', '2026-01-01T00:15Z'],
  ['5/20 * * * *', '2026-01-01T00:46:00Z', '2026-01-01T00:45Z', '2026-01-01T01:05Z'],
  ['0 9-17/4 * * *', '2026-01-01T14:00:00Z', '2026-01-01T13:00Z', '2026-01-01T17:00Z'],
  ['30 3 * * mon-fri', '2026-03-01T12:00:00Z', '2026-02-27T03:30Z', '2026-03-02T03:30Z'],
  ['30 3 * * 7', '2026-03-02T00:00:00Z', '2026-03-01T03:30Z', '2026-03-08T03:30Z'],
  ['0 0 * * 5-7', '2026-03-05T00:00:00Z', '2026-03-01T00:00Z', '2026-03-06T00:00Z'],
  ['0 0 1 JAN,jul *', '2026-03-05T00:00:00Z', '2026-01-01T00:00Z', '2026-07-01T00:00Z'],
  // Both kinds of day named: either.
  ['0 4 13 * fri', '2026-03-14T00:00:00Z', '2026-03-13T04:00Z', '2026-03-20T04:00Z'],
  ['0 4 10 * fri', '2026-03-12T00:00:00Z', '2026-03-10T04:00Z', '2026-03-13T04:00Z'],
  // */n counts as any day, as crontab has it: both must fit.
  ['0 4 */2 * mon', '2026-03-10T00:00:00Z', '2026-03-09T04:00Z', '2026-03-23T04:00Z'],
  ['0 0 29 2 *', '2026-03-05T00:00:00Z', '2024-02-29T00:00Z', '2028-02-29T00:00Z'],
  ['0 0 31 * ?', '2026-04-15T00:00:00Z', '2026-03-31T00:00Z', '2026-05-31T00:00Z'],
  ['30 15 2 * * *', '2026-03-01T12:00:00Z', '2026-03-01T02:15Z', '2026-03-02T02:15Z'],
  ['@daily', '2026-03-01T12:00:00Z', '2026-03-01T00:00Z', '2026-03-02T00:00Z'],
  ['@weekly', '2026-03-04T12:00:00Z', '2026-03-01T00:00Z', '2026-03-08T00:00Z'],
  ['@yearly', '2026-03-04T12:00:00Z', '2026-01-01T00:00Z', '2027-01-01T00:00Z'],
];

test('last and next, in a table', () => {
  process.env['TZ'] = 'UTC';
  for (const [expression, now, last, next] of golden) {
    assert.deepEqual(around(expression, now), [last, next], `${expression} at ${now}`);
  }
});

describe('where clocks change', () => {
  test('set forward: a time that does not exist counts an hour later', () => {
    process.env['TZ'] = 'Europe/Berlin';
    // 02:00 CET is 03:00 CEST, 01:00 UTC.
    assert.deepEqual(around('30 2 * * *', '2026-03-29T12:00:00Z'), ['2026-03-29T01:30Z', '2026-03-30T00:30Z']);
    assert.deepEqual(around('30 2 * * *', '2026-03-29T01:10:00Z'), ['2026-03-28T01:30Z', '2026-03-29T01:30Z']);
    assert.deepEqual(around('0 * * * *', '2026-03-29T01:10:00Z'), ['2026-03-29T01:00Z', '2026-03-29T02:00Z']);
    process.env['TZ'] = 'America/Sao_Paulo';
    // Here midnight did not exist.
    assert.deepEqual(around('0 0 * * *', '2018-11-04T12:00:00Z'), ['2018-11-04T03:00Z', '2018-11-05T02:00Z']);
  });

  test('set back: a time that comes twice counts once, but every hour is every hour', () => {
    process.env['TZ'] = 'Europe/Berlin';
    // 03:00 CEST is 02:00 CET, 01:00 UTC.
    assert.deepEqual(around('30 2 * * *', '2026-10-25T12:00:00Z'), ['2026-10-25T00:30Z', '2026-10-26T01:30Z']);
    assert.deepEqual(around('30 2 * * *', '2026-10-25T00:45:00Z'), ['2026-10-25T00:30Z', '2026-10-26T01:30Z']);
    assert.deepEqual(around('30 * * * *', '2026-10-25T01:40:00Z'), ['2026-10-25T01:30Z', '2026-10-25T02:30Z']);
    assert.deepEqual(around('30 * * * *', '2026-10-25T00:40:00Z'), ['2026-10-25T00:30Z', '2026-10-25T01:30Z']);
    process.env['TZ'] = 'Australia/Lord_Howe';
    // By half an hour: 02:00 becomes 01:30, at 15:00 UTC.
    assert.deepEqual(around('45 * * * *', '2026-04-04T15:20:00Z'), ['2026-04-04T15:15Z', '2026-04-04T16:15Z']);
  });
});

/** All moments of an expression between two, in UTC. */
function within(expression: string, zone: string | undefined, from: string, to: string): string[] {
  const cron = parseCron(expression);
  assert.ok(cron !== undefined);
  const found: string[] = [];
  let at = Date.parse(from) - 1;
  for (;;) {
    const next = nextMoment(cron, at, zone);
    if (next === undefined || next > Date.parse(to)) return found;
    assert.equal(lastMoment(cron, next, zone), next, 'seen from itself it is the last one');
    assert.equal(lastMoment(cron, next + 59_000, zone), next, 'and until the next');
    found.push(new Date(next).toISOString().slice(0, 16));
    at = next;
  }
}

describe('in a zone by name, whatever the host has', () => {
  const berlin = 'Europe/Berlin';
  before(() => (process.env['TZ'] = 'Asia/Tokyo'));

  test('in a list the slot of the skipped hour comes once, and so does that of the doubled hour', () => {
    assert.deepEqual(within('30 2,14 * * *', berlin, '2026-03-28T00:00Z', '2026-03-30T12:00Z'), [
      '2026-03-28T01:30',
      '2026-03-28T13:30',
      '2026-03-29T01:30',
      '2026-03-29T12:30',
      '2026-03-30T00:30',
    ]);
    assert.deepEqual(within('30 2,14 * * *', berlin, '2026-10-24T12:00Z', '2026-10-26T12:00Z'), [
      '2026-10-24T12:30',
      '2026-10-25T00:30',
      '2026-10-25T13:30',
      '2026-10-26T01:30',
    ]);
    // Two slots that fall together are one.
    assert.deepEqual(within('30 2,3 * * *', berlin, '2026-03-29T00:00Z', '2026-03-29T12:00Z'), ['2026-03-29T01:30']);
  });

  test('every hour is every hour that passes', () => {
    assert.deepEqual(within('30 * * * *', berlin, '2026-10-25T00:00Z', '2026-10-25T03:00Z'), [
      '2026-10-25T00:30',
      '2026-10-25T01:30',
      '2026-10-25T02:30',
    ]);
    assert.deepEqual(within('*/20 * * * *', berlin, '2026-03-29T00:40Z', '2026-03-29T01:40Z'), [
      '2026-03-29T00:40',
      '2026-03-29T01:00',
      '2026-03-29T01:20',
      '2026-03-29T01:40',
    ]);
  });

  test('zones that change by half an hour', () => {
    const zone = 'Australia/Lord_Howe';
    // 02:00 becomes 02:30 at 15:30 UTC; 02:00 becomes 01:30 at 15:00 UTC.
    assert.deepEqual(within('15 2 * * *', zone, '2026-10-02T12:00Z', '2026-10-04T20:00Z'), [
      '2026-10-02T15:45',
      '2026-10-03T15:45',
      '2026-10-04T15:15',
    ]);
    assert.deepEqual(within('45 1 * * *', zone, '2026-04-04T00:00Z', '2026-04-05T20:00Z'), [
      '2026-04-04T14:45',
      '2026-04-05T15:15',
    ]);
    assert.deepEqual(within('45 * * * *', zone, '2026-04-04T14:00Z', '2026-04-04T17:00Z'), [
      '2026-04-04T14:45',
      '2026-04-04T15:15',
      '2026-04-04T16:15',
    ]);
  });

  test('a zone that left a whole day out: its slot falls on the next one', () => {
    const apia = 'Pacific/Apia';
    assert.deepEqual(within('15 2 * * *', apia, '2011-12-28T00:00Z', '2012-01-01T00:00Z'), [
      '2011-12-28T12:15',
      '2011-12-29T12:15',
      '2011-12-30T12:15',
      '2011-12-31T12:15',
    ]);
    assert.deepEqual(within('15 2 30 * *', apia, '2011-12-01T00:00Z', '2012-02-01T00:00Z'), [
      '2011-12-30T12:15',
      '2012-01-29T12:15',
    ]);
  });

  test('midnight that does not exist, midnight that comes twice, UTC', () => {
    assert.deepEqual(within('0 0 * * *', 'America/Sao_Paulo', '2018-11-03T12:00Z', '2018-11-05T12:00Z'), [
      '2018-11-04T03:00',
      '2018-11-05T02:00',
    ]);
    // Clocks go from 24:00 back to 23:00 there.
    assert.deepEqual(within('30 23 * * *', 'America/Sao_Paulo', '2018-02-16T12:00Z', '2018-02-19T12:00Z'), [
      '2018-02-17T01:30',
      '2018-02-18T01:30',
      '2018-02-19T02:30',
    ]);
    // 00:00 becomes 01:00 in Havana at 05:00 UTC, and 01:00 becomes 00:00 again.
    assert.deepEqual(within('30 0 * * *', 'America/Havana', '2026-10-31T00:00Z', '2026-11-02T12:00Z'), [
      '2026-10-31T04:30',
      '2026-11-01T04:30',
      '2026-11-02T05:30',
    ]);
    assert.deepEqual(within('30 2 * * *', 'UTC', '2026-03-29T00:00Z', '2026-03-30T12:00Z'), [
      '2026-03-29T02:30',
      '2026-03-30T02:30',
    ]);
  });

  test('each moment of a year, in zones of all kinds, comes once and in order', () => {
    for (const zone of [
      berlin,
      'America/New_York',
      'Australia/Lord_Howe',
      'Asia/Kathmandu',
      'America/St_Johns',
      'UTC',
    ]) {
      const found = within('30 2 * * *', zone, '2026-01-01T12:00Z', '2027-01-01T11:59Z');
      assert.equal(new Set(found).size, 365, zone);
    }
  });

  test('is the same as the host has, in its own zone', () => {
    process.env['TZ'] = berlin;
    for (const expression of ['*/7 1-3 * * *', '30 2,14 * * 0', '0 * * * *']) {
      const [from, to] = ['2026-10-24T00:00Z', '2026-10-27T00:00Z'];
      assert.deepEqual(within(expression, undefined, from, to), within(expression, berlin, from, to));
    }
  });
});

test('names of zones: aliases are fine, a wrong one is told with the nearest, offsets are none', () => {
  for (const name of ['UTC', 'US/Eastern', 'Europe/Berlin']) checkTimeZone(name);
  assert.throws(() => checkTimeZone('Europe/Berlim'), { code: 'usage', message: /did you mean "Europe\/Berlin"/ });
  for (const name of ['+01:00', '', 'Mars/Olympus']) assert.throws(() => checkTimeZone(name), { code: 'usage' }, name);
});

test('what is none is refused, and says which part; @reboot has no moment; a day that never comes neither', () => {
  process.env['TZ'] = 'UTC';
  for (const [expression, message] of [
    ['61 * * * *', /"61" is no minute/],
    ['* 24 * * *', /"24" is no hour/],
    ['* * 0 * *', /"0" is no day/],
    ['* * * 13 *', /"13" is no month/],
    ['* * * * 8', /"8" is no weekday/],
    ['*/0 * * * *', /no minute/],
    ['5-1 * * * *', /no minute/],
    ['1-2-3 * * * *', /no minute/],
    ['x * * * *', /no minute/],
    ['* * L * *', /"l" is no day/],
    ['* * * *', /five or six/],
    ['@fortnightly', /five or six/],
    [', * * * *', /no minute/],
  ] as const) {
    assert.throws(() => parseCron(expression), { code: 'usage', message }, expression);
  }
  assert.equal(parseCron('@reboot'), undefined);
  assert.deepEqual(around('0 0 30 2 *', '2026-01-01T00:00:00Z'), [undefined, undefined]);
});

test('a thousand moments of the busiest expression are found without a wait', () => {
  const cron = parseCron('* * * * *');
  assert.ok(cron !== undefined);
  const begin = Date.parse('2026-10-24T23:30Z');
  let at = begin;
  for (let found = 0; found < 1000; found++) at = nextMoment(cron, at, 'Europe/Berlin') ?? Number.NaN;
  assert.equal(at, begin + 1000 * 60_000);
});
