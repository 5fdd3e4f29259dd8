import assert from 'node:assert/strict';
import { test } from 'node:test';
import { momentOf } from '../../../src/lib/time.ts';

test('a day that does not exist is no moment, whatever the zone', () => {
  for (const date of [
    '2026-11-31',
    '2026-02-29',
    '2026-02-30',
    '2026-04-31',
    '2100-02-29',
    '2026-00-01',
    '2026-13-01',
  ]) {
    for (const zone of ['Z', '+14:00', '-12:00']) assert.equal(momentOf(date, '00:00', zone), undefined, date + zone);
  }
  for (const time of ['24:01', '23:60', '12:00:61']) assert.equal(momentOf('2026-11-30', time, 'Z'), undefined, time);
});

test('every day of a leap year and of a common one is a moment', () => {
  for (const year of [2026, 2028]) {
    let days = 0;
    for (let month = 1; month <= 12; month++) {
      for (let day = 1; day <= 31; day++) {
        const date = `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
        if (momentOf(date, '12:00:00.5', '+01:00') !== undefined) days++;
      }
    }
    assert.equal(days, year === 2028 ? 366 : 365);
  }
  assert.equal(momentOf('2026-03-01', '00:30', '+01:00'), Date.UTC(2026, 1, 28, 23, 30));
});
