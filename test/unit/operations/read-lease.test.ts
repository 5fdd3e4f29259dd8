import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { RunContext } from '../../../src/lib/events.ts';
import { acquireReadLease } from '../../../src/operations/read-lease.ts';
import { openLocalStorage } from '../../../src/storage/local/local.ts';
import { StorageError } from '../../../src/storage/storage.ts';

const folder = mkdtempSync(join(tmpdir(), 'read-lease-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('a reader that may not write goes on without a lease, and says so', async () => {
  const storage = openLocalStorage(folder);
  const readOnly: typeof storage = new Proxy(storage, {
    get: (target, name) =>
      name === 'put' ? async () => Promise.reject(new StorageError('denied')) : Reflect.get(target, name),
  });
  const told: string[] = [];
  const context: RunContext = {
    signal: new AbortController().signal,
    emit: (event) => void (event.type === 'warning' && told.push(event.message)),
  };
  const options = { command: 'export', parents: ['b'] };
  assert.equal(await acquireReadLease({ storage: readOnly }, options, context), undefined);
  assert.match(told.join(), /without a lease.*denied/);
  await using lease = await acquireReadLease({ storage }, options, context);
  assert.equal(lease?.scope, 'read');
  assert.equal(told.length, 1);
});
