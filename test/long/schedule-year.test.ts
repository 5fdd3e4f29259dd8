/**
 * A year of a schedule under a clock of the test's own, with all that happens in one: called by the cron of two hosts,
 * and run by two daemons. Each moment comes to its end exactly once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from '../helpers/repository/schedule-clock.ts';
import { simulateDaemons } from '../helpers/repository/schedule-daemons.ts';

const year = { timezone: 'Europe/Berlin', from: '2026-01-01T10:00:00Z', to: '2027-01-01T10:00:00Z' };

test('called by cron on two hosts', async () => {
  const ended = await simulate({ ...year, cronExpression: '30 2,3,14 * * *', seed: 11 });
  // The hour of 29 March that is skipped has two of the moments, of which one is left.
  assert.ok(ended.size >= 3 * 365 - 1, String(ended.size));
  assert.deepEqual(
    [...ended].filter(([, times]) => times !== 1),
    [],
  );
});

test('two daemons that are killed, lose their storage and have their clocks set back', async () => {
  const { backups, kills, outages, setBack } = await simulateDaemons({
    ...year,
    cronExpression: '30 2,14 * * *',
    seed: 3,
    troubles: 0.1,
  });
  assert.equal(backups.size, 2 * 364);
  assert.deepEqual(
    [...backups].filter(([, count]) => count !== 1),
    [],
  );
  assert.ok(kills > 20 && outages > 10 && setBack > 20, JSON.stringify({ kills, outages, setBack }));
});
