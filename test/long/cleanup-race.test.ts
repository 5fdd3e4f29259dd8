/** A hundred rounds of a backup that deduplicates against what another process deletes meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { race } from '../helpers/repository/cleanup-processes.ts';

test(
  'cleanup racing a backup that deduplicates against what is being deleted: a hundred rounds, every backup that is ' +
    'listed can be read',
  async () => {
    const { reusing, orphaned, collected } = await race(100);
    assert.ok(reusing > 0 && orphaned > 0 && collected > 0, JSON.stringify({ reusing, orphaned, collected }));
  },
);
