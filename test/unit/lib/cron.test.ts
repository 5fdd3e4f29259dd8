/** Cron expressions against a table of moments, in zones whose clocks change. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { lastMoment, nextMoment, parseCron } from '../../../src/lib/cron.ts';

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
