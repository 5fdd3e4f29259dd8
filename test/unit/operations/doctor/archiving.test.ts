/** What doctor makes of a server's archiving: one thing wrong at a time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeArchiving } from '../../../../src/operations/doctor/archiving.ts';
import type { ArchiverState, ReplicationSlot } from '../../../../src/source/postgres/server/archiver.ts';

const ours =
  'd=/var/lib/lifeboat/wal/shipped"$PWD"; test "$d/%f" -nt "%p" || exec /opt/lifeboat/bin/lifeboat.js wal push ' +
  '--config /etc/lifeboat.json --shipped "$d" "%p"';
const good: ArchiverState = {
  systemId: '7',
  isStandby: false,
  currentLsn: '0/1',
  currentSegment: '000000010000000000000005',
  segmentBytes: 1,
  walLevel: 'replica',
  archiveMode: 'on',
  archiveCommand: ours,
  archiveLibrary: '',
  lastArchived: '000000010000000000000001',
  lastArchivedAt: '2026-03-01T00:00:00Z',
  lastArchivedAgoMs: 1000,
  failures: 2,
  lastFailed: undefined,
  lastFailedAt: undefined,
  isFailing: false,
  slots: [],
  passwordEnd: undefined,
};
const slot = (more: Partial<ReplicationSlot> = {}): ReplicationSlot => ({
  name: 'lifeboat',
  kind: 'physical',
  isActive: true,
  heldBytes: 1,
  walStatus: 'reserved',
  ...more,
});
const judge = (more: Partial<ArchiverState> = {}, wanted: 'base' | 'no base' = 'base', major = 17): string[] =>
  judgeArchiving('n', { ...good, ...more }, { base: wanted === 'base' ? {} : undefined }, major).map(
    ({ ok, message }) => `${ok} ${message}`,
  );
const none = { ...good, archiveMode: 'off', archiveCommand: '' };

test('the log comes here, by either way', () => {
  assert.match(
    judge().join(),
    /^ok .*wal_level replica.*archive_command hands it over, last 000000010000000000000001.*failures so far: 2$/,
  );
  assert.match(judge({ ...none, slots: [slot()] }).join(), /^ok .*received over slot lifeboat/);
  assert.match(judge({ archiveCommand: 'lifeboat wal push %p' }, 'no base').join(), /^ok /);
});

test('the log of a major version that is not known is refused, where base backups want it', () => {
  for (const major of [12, 20, 99]) {
    assert.match(judge({}, 'base', major).join(), new RegExp(`^fail .*PostgreSQL 13 to 19, not that of ${major}$`));
    assert.match(judge({ ...none, slots: [slot()] }, 'base', major).join(), /^fail /);
  }
  assert.deepEqual(judge(none, 'no base', 20), []);
});

test('it does not come here, where base backups want it', () => {
  for (const [more, message] of [
    [{ walLevel: 'minimal' }, /^fail wal_level is minimal/],
    [none, /^warn archive_mode is off/],
    [{ ...none, slots: [slot({ isActive: false })] }, /^warn archive_mode is off/],
    [{ archiveLibrary: 'basic_archive' }, /^warn archive_library is set \(basic_archive\)/],
    [{ archiveCommand: undefined }, /^warn this user may not see/],
    [{ archiveCommand: '' }, /^warn archive_command is empty/],
    [{ archiveCommand: 'cp %p /mnt/lifeboat/%f' }, /^warn archive_command does not call lifeboat wal push/],
    [
      { isFailing: true, lastFailed: 'X', lastFailedAt: 'T' },
      /^fail archive_command fails: 2 failures, last for X at T/,
    ],
  ] as const) {
    const found = judge(more);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0] ?? '', message);
  }
});

test('nothing is said where nobody asked for the log; slots that hold back much are told in any case', () => {
  assert.deepEqual(judge(none, 'no base'), []);
  assert.deepEqual(judge({ archiveCommand: 'cp %p /mnt/%f', isFailing: true }, 'no base'), []);
  assert.deepEqual(judge({ isStandby: true, isFailing: true }), []);
  assert.match(
    judge({ ...none, slots: [slot({ name: 'other', isActive: false, heldBytes: 1024 ** 3 + 1 })] }, 'no base').join(),
    /^warn replication slot other \(not active\) holds back 1\.0 GiB/,
  );
  assert.deepEqual(judge({ ...none, slots: [slot({ name: 'other', heldBytes: 1024 ** 3 })] }, 'no base'), []);
  assert.match(
    judge({ slots: [slot({ name: 'other', walStatus: 'lost' })] }).join(),
    /^warn replication slot other has lost log/,
  );
});
