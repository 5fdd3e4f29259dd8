/** Backups beside deletions, in two processes. A hundred rounds: test/long/cleanup-race.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { race } from '../helpers/repository/cleanup-processes.ts';

test('backups that deduplicate against what is being deleted: every one that is listed can be read', async () => {
  const { reusing, orphaned, collected } = await race(20);
  assert.ok(reusing > 0, 'no backup used chunks of another');
  assert.ok(orphaned > 0, 'of none the other was deleted meanwhile');
  assert.ok(collected > 0, 'no pack was collected while a backup ran');
});
