/** A week in which the clocks are set back, on two hosts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from '../../../helpers/repository/schedule-clock.ts';

test('each moment of a week came to its end once, whatever happened', async () => {
  const ended = await simulate({
    cronExpression: '30 2,3,14 * * *',
    timezone: 'Europe/Berlin',
    from: '2026-10-21T10:00:00Z',
    to: '2026-10-28T10:00:00Z',
    seed: 7,
  });
  assert.equal(ended.size, 21);
  assert.deepEqual(
    [...ended].filter(([, times]) => times !== 1),
    [],
  );
  assert.ok(
    ended.has('2026-10-25T00:30:00.000Z') && !ended.has('2026-10-25T01:30:00.000Z'),
    'the hour that came twice',
  );
});
