/** Which rule the log of a cluster has, by the targets of its base backups. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RetentionByComponent, RetentionPolicy } from '../../../../src/config/config.ts';
import { walRules } from '../../../../src/operations/cleanup/wal.ts';

const none: RetentionPolicy = {
  days: undefined,
  keepLast: undefined,
  keepHourly: undefined,
  keepDaily: undefined,
  keepWeekly: undefined,
  keepMonthly: undefined,
  keepYearly: undefined,
  keepWithinMs: undefined,
  minBackups: undefined,
};
const withDays = (walDays?: number): RetentionByComponent => ({ database: none, redis: none, files: none, walDays });
const dayMs = 86_400_000;
const now = 100 * dayMs;

test('the longest rule of its targets; none where they have none', () => {
  const ruleOf = walRules(
    {
      policies: new Map([
        ['a', withDays(3)],
        ['b', withDays(7)],
        ['c', withDays()],
      ]),
    },
    now,
  );
  assert.deepEqual(ruleOf(['a']), { keepSinceMs: 97 * dayMs });
  assert.deepEqual(ruleOf(['a', 'b', 'c']), { keepSinceMs: 93 * dayMs });
  assert.deepEqual(ruleOf(['c']), { keepSinceMs: Infinity });
});

test('a target that is not known here: another host may have a longer rule', () => {
  const rule = walRules({ policies: new Map([['a', withDays(3)]]), orphanWalDays: 1 }, now)(['a', 'x']);
  assert.match('stays' in rule ? rule.stays : '', /target x is not configured here/);
});

test('without a base backup only the general rule lets it go', () => {
  const none = walRules({ policies: new Map([['a', withDays(3)]]) }, now)([]);
  assert.match('stays' in none ? none.stays : '', /no base backup/);
  assert.deepEqual(walRules({ policies: new Map(), orphanWalDays: 9 }, now)([]), { keepSinceMs: 91 * dayMs });
});
