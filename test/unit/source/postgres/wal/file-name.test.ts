/** Names of PostgreSQL's log files and the arithmetic of segments, for segments of 1 MB and of 16 MB. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  historyName,
  parseWalFileName,
  segmentAt,
  segmentName,
  segmentNumber,
  timelineOf,
} from '../../../../../src/source/postgres/wal/file-name.ts';
import { formatLsn, parseLsn, shownLsn } from '../../../../../src/source/postgres/wal/lsn.ts';

const mib = 1024 * 1024;

test('what a name of a file in pg_wal stands for', () => {
  const segment = '0000000A0000001F000000FE';
  const kinds = {
    [segment]: 'segment',
    [`${segment}.partial`]: 'partial',
    [`${segment}.00000028.backup`]: 'backup',
    '0000000A.history': 'history',
  };
  for (const [name, kind] of Object.entries(kinds)) {
    const expected = { name, kind, timeline: 10, segment: kind === 'history' ? undefined : segment };
    assert.deepEqual(parseWalFileName(name), expected);
    assert.equal(timelineOf(name), 10);
  }
  // What `wal stream` calls an unfinished segment is no name of PostgreSQL's.
  for (const name of [
    `${segment}.0000001FFE000028.partial`,
    `${segment}.ready`,
    `${segment}\n`,
    'archive_status',
    '',
  ]) {
    assert.equal(parseWalFileName(name), undefined, name);
  }
  assert.equal(historyName(0x1f), '0000001F.history');
});

test('segments are numbered through, over the ends of logs', () => {
  for (const segmentBytes of [mib, 16 * mib]) {
    const last = segmentName(1, 2n ** 32n / BigInt(segmentBytes) - 1n, segmentBytes);
    assert.equal(segmentName(1, segmentNumber(last, segmentBytes) + 1n, segmentBytes), '000000010000000100000000');
    for (const number of [0n, 1n, 4095n, 4096n, 123_456_789n]) {
      assert.equal(segmentNumber(segmentName(7, number, segmentBytes), segmentBytes), number);
    }
  }
  assert.equal(segmentAt(3, parseLsn('16/B374D848'), 16 * mib), '0000000300000016000000B3');
  assert.equal(segmentAt(3, parseLsn('16/B374D848'), mib), '000000030000001600000B37');
});

test('positions are read and written as PostgreSQL does', () => {
  assert.equal(parseLsn('16/B374D848'), 0x16b374d848n);
  assert.equal(formatLsn(0x16b374d848n), '16/B374D848');
  assert.equal(formatLsn(1n), '0/1');
  assert.equal(shownLsn(0x16b374d841n), '16/B374D848');
  assert.equal(shownLsn(0x16b374d848n), '16/B374D848');
  for (const text of ['', '16', '16/', '/1', '16/B374D8480', '16/XYZ']) {
    assert.throws(() => parseLsn(text), { code: 'usage' }, text);
  }
});
