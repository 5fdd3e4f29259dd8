/** Changes of schedules that are refused, each with what is wrong and the nearest right name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeSchedules } from '../../../../src/operations/schedule/edit-text.ts';
import type { ScheduleChange } from '../../../../src/operations/schedule/request.ts';

const text = '{ "schedules": [{ "id": "nightly", "cronExpression": "@daily", "options": { "max-size": "2GB" } }] }';
const daily = { cronExpression: '0 6 * * *' };

test('what would not do is told in terms of the schedule', () => {
  const wrong: readonly [ScheduleChange, RegExp][] = [
    [
      { act: 'add', id: 'a', members: daily, options: ['labl=x'] },
      /add the schedule a: options\.labl is not an option of type full \(did you mean "label"/,
    ],
    [
      { act: 'add', id: 'a', members: { ...daily, type: 'databse' as never } },
      /type must be one of .*did you mean "database"/,
    ],
    [{ act: 'add', id: 'a', members: { cronExpression: '0 25 * * *' } }, /cronExpression "25" is no hour/],
    [
      { act: 'add', id: 'a', members: { ...daily, timezone: 'Europe/Berlim' } },
      /timezone .*did you mean "Europe\/Berlin"/,
    ],
    [{ act: 'add', id: 'a', members: daily, options: ['jobs=x'] }, /options\.jobs must be a whole number/],
    [{ act: 'add', id: 'nightly', members: daily }, /there is one of that id/],
    [{ act: 'add', id: 'A b', members: daily }, /no part of an object's name/],
    [
      { act: 'update', id: 'nightly', members: { type: 'validate' }, options: ['label=x'] },
      /options\.label is not an option of type validate/,
    ],
    [{ act: 'update', id: 'nightly', unset: ['timezon'] }, /timezon is nothing to unset \(did you mean "timezone"/],
    [{ act: 'update', id: 'nigthly', members: daily }, /there is no schedule nigthly \(did you mean "nightly"/],
    [{ act: 'remove', id: 'other' }, /there is no schedule other/],
  ];
  for (const [change, message] of wrong) {
    assert.throws(() => changeSchedules(text, change), { message, state: 'nothing was changed' });
  }
  const { act, id } = { act: 'disable', id: 'b' } as const;
  const twice = '{"schedules": [{"id": "a"}], "schedules": [{"id": "b", "cronExpression": "@daily"}]}';
  assert.throws(() => changeSchedules(twice, { act, id }), /does a key stand twice in it\?/);
  assert.throws(() => changeSchedules('{"schedules": {}}', { act, id }), /"schedules" is no list of objects/);
});

test('values are what their options want, by whichever spelling they stand there', () => {
  const change = { act: 'update', id: 'nightly', options: ['maxSize=5GB', 'jobs=4', 'label=4', 'tag=1'] } as const;
  assert.equal(changeSchedules(text, change), text.replace('"2GB" }', '"5GB", "jobs": 4, "label": "4", "tag": "1" }'));
  const look = {
    ...change,
    members: { type: 'validate' },
    options: ['deep', 'all=false', 'sample=5'],
    unset: ['maxSize'],
  } as const;
  assert.match(
    changeSchedules(text, look),
    /"options": \{ "deep": true, "all": false, "sample": "5" \}, "type": "validate"/,
  );
});
