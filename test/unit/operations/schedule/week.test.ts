/** A week in which the clocks are set back, on two hosts: called by cron, and of two daemons. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from '../../../helpers/repository/schedule-clock.ts';
import { simulateDaemons } from '../../../helpers/repository/schedule-daemons.ts';

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

test('two daemons, killed, without storage, with clocks set back: each slot is backed up once', async () => {
  const { backups, kills, outages, setBack } = await simulateDaemons({
    cronExpression: '30 2 * * *',
    timezone: 'Europe/Berlin',
    from: '2026-10-20T10:00:00Z',
    to: '2026-10-28T10:00:00Z',
    seed: 5,
    troubles: 0.2,
  });
  assert.equal(backups.size, 7);
  assert.deepEqual(
    [...backups].filter(([, count]) => count !== 1),
    [],
  );
  // Whether a signal comes before the end of what it kills depends on the machine.
  assert.ok(kills + outages > 0 && setBack > 0, JSON.stringify({ kills, outages, setBack }));
});
