/** Headers of segments: what is read of them, and each thing that can be wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSegmentHeader, segmentFault } from '../../../../../src/source/postgres/wal/segment-header.ts';
import { checkSegment, checkWalFile, isArchivable } from '../../../../../src/repository/wal/archivable.ts';
import { needWalName } from '../../../../../src/repository/wal/names.ts';

const mib = 1024 * 1024;
const third = '000000010000000000000003';

function segment(changes: { segmentBytes?: number; timeline?: number; magic?: number; flags?: number } = {}): Buffer {
  const { segmentBytes = mib, timeline = 1, magic = 0xd110, flags = 2 } = changes;
  const body = Buffer.alloc(mib);
  body.writeUInt16LE(magic, 0);
  body.writeUInt16LE(flags, 2);
  body.writeUInt32LE(timeline, 4);
  body.writeBigUInt64LE(3n * BigInt(mib), 8);
  body.writeBigUInt64LE(7001n, 24);
  body.writeUInt32LE(segmentBytes, 32);
  return body;
}

test('a header is read', () => {
  const header = { serverMajor: 15, timeline: 1, position: 3n * BigInt(mib), systemId: '7001', segmentBytes: mib };
  assert.deepEqual(readSegmentHeader(segment()), header);
  assert.deepEqual(checkSegment(needWalName(third), segment()), header);
  assert.deepEqual(checkWalFile(needWalName(`${third}.partial`), segment()), header);
});

test('a file that is not what its name says is refused with the reason', () => {
  const refused: [string, Buffer, RegExp][] = [
    [third, Buffer.alloc(39), /it has 39 bytes/],
    [third, segment({ magic: 0xd0ff }), /magic number D0FF/],
    [third, segment({ flags: 0 }), /no[t]? .*long page header/],
    [third, segment({ segmentBytes: 3 * mib }), /claims segments of 3145728 bytes/],
    [third, segment({ segmentBytes: 2 * mib }), /it has 1048576 bytes, not 2097152/],
    [third, segment({ segmentBytes: 64 * mib }), /it has 1048576 bytes, not 67108864/],
    [third, segment({ timeline: 2 }), /begins on timeline 2/],
    [third.replace(/3$/, '4'), segment(), /position 300000, not 400000/],
    ['00000002.history', Buffer.from('1\t0/3000158\0'), /is not text/],
  ];
  for (const [name, body, message] of refused) {
    assert.throws(() => checkWalFile(needWalName(name), body), { code: 'integrity', message });
  }
});

test('a segment is held against the place it should have', () => {
  const place = { systemId: '7001', segmentBytes: mib, position: 3n * BigInt(mib) };
  assert.equal(segmentFault(segment(), place), undefined);
  assert.match(segmentFault(segment().subarray(1), place) ?? '', /it has 1048575 bytes, not 1048576/);
  assert.match(segmentFault(segment(), { ...place, systemId: '7002' }) ?? '', /another cluster \(7001\)/);
  assert.match(segmentFault(segment(), { ...place, position: 0n }) ?? '', /begins at 0\/300000, not at 0\/0/);
});

test('archive_command is called with names of PostgreSQL only', () => {
  for (const name of [third, `${third}.partial`, `${third}.00000028.backup`, '00000002.history']) {
    assert.ok(isArchivable(name), name);
  }
  assert.ok(!isArchivable(`${third}.0000000000300028.partial`));
  assert.ok(!isArchivable('RECOVERYXLOG'));
});
