/** What stays in trash although its grace time has passed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyBackup } from '../../../../src/repository/retention/backups.ts';
import { keptInTrash, type TrashGuards } from '../../../../src/repository/retention/trash.ts';

const nowMs = Date.parse('2026-07-01T12:00:00Z');

function backup(day: number, given: Partial<PolicyBackup> = {}): PolicyBackup {
  return {
    id: `b${day}`,
    target: 'main',
    takenMs: nowMs - (30 - day) * 86_400_000,
    previousId: undefined,
    components: [{ kind: 'files', component: 'files', readBytes: 1000, items: undefined }],
    tags: [],
    hold: undefined,
    unreadableNote: false,
    proven: false,
    failing: false,
    flawed: false,
    acknowledged: false,
    ...given,
  };
}

function kept(
  live: readonly PolicyBackup[],
  trash: readonly PolicyBackup[],
  given: Partial<TrashGuards> = {},
): readonly (readonly [string, string])[] {
  const guards = { live, trash, stops: [], nowMs, maxDelete: 100, ...given };
  const over = trash.map(({ id }) => id);
  return [...keptInTrash(over, guards).reasons].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

test('nothing stays where live ones stand in: newer, and proven', () => {
  assert.deepEqual(kept([backup(9, { proven: true })], [backup(1), backup(2, { proven: true })]), []);
});

test('the newest and the newest proven stay when no live one stands in for them', () => {
  const trash = [backup(1), backup(2, { proven: true }), backup(3), backup(4, { failing: true })];
  assert.deepEqual(kept([], trash), [
    ['b2', 'newest proven files backup of main'],
    ['b3', 'newest files backup of main'],
  ]);
  assert.deepEqual(kept([backup(9)], trash), [['b2', 'newest proven files backup of main']]);
  assert.deepEqual(kept([backup(9, { target: 'other', proven: true })], [backup(1)]), [
    ['b1', 'newest files backup of main'],
  ]);
});

test('so does what is on hold, or may be, and all of a target that has collapsed', () => {
  const trash = [backup(1, { hold: 'court case' }), backup(2, { unreadableNote: true }), backup(3)];
  assert.deepEqual(
    kept([backup(9)], trash).map(([id]) => id),
    ['b1', 'b2'],
  );
  const stops = [{ target: 'main', backupId: 'b9', reason: 'it has collapsed' }];
  assert.deepEqual(kept([backup(9)], [backup(3)], { stops }), [['b3', 'it has collapsed']]);
});

test('one run takes no more than half of what there is, oldest first, or what --max-delete says', () => {
  const trash = [1, 2, 3, 4, 5].map((day) => backup(day));
  const ids = (maxDelete: number | undefined): string[] => kept([backup(9)], trash, { maxDelete }).map(([id]) => id);
  assert.deepEqual([ids(undefined), ids(1), ids(9)], [['b4', 'b5'], ['b2', 'b3', 'b4', 'b5'], []]);
});
