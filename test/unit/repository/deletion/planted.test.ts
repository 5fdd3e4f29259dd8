/** A manifest that somebody put into the repository keeps a cleanup from telling what is needed: it says so. */
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LifeboatEvent } from '../../../../src/lib/events.ts';
import { cleanRepository } from '../../../../src/operations/cleanup/cleanup.ts';
import type { CleanupResult } from '../../../../src/operations/cleanup/request.ts';
import { keepLast, newHome, quiet, type CleanupHome } from '../../../helpers/repository/cleanup-home.ts';

/** With what it warned of. */
async function cleaned(home: CleanupHome): Promise<{ result: CleanupResult; told: string }> {
  const told: string[] = [];
  const emit = (event: LifeboatEvent): void => void (event.type === 'warning' ? told.push(event.message) : 0);
  const request = { dryRun: false, acknowledge: [], adoptTrash: [], maxDelete: 100, graceMs: 86_400_000 };
  const internals = { policies: keepLast(2), leastGraceMs: 0 };
  const result = await cleanRepository(await home.open(), request, { ...quiet(), emit }, internals);
  return { result, told: told.join('\n') };
}

test('a junk manifest stops a cleanup, which says who may have put it there and what to do', async () => {
  using home = await newHome();
  await home.backup();
  const object = 'manifests/20260101T000000Z-main-full-ffffffff.json';
  writeFileSync(join(home.root, object), '{}');
  const { result, told } = await cleaned(home);
  assert.deepEqual(result.deleted, []);
  assert.match(result.stopped ?? '', new RegExp(`it cannot be told what ${object} needs: `));
  assert.match(told, /somebody else put there: move it out of the repository/);
  assert.deepEqual((await home.backup()).warnings, [], 'backups go on');
  renameSync(join(home.root, object), join(home.folder, 'junk'));
  assert.equal((await cleaned(home)).result.stopped, undefined);
  assert.equal(await home.readAll(), 2);
});
