/** Log that was still being written ends in zeros or at a page; what lies behind a record that is damaged is more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endsBehind } from '../../../../../src/source/postgres/wal/end-of-records.ts';

const pageBytes = 8192;
const segmentBytes = 4 * pageBytes;
const position = 7n * BigInt(segmentBytes);

interface Written {
  readonly bytes: Buffer;
  /** Offsets of the records. */
  readonly at: readonly number[];
}

/** Records of these lengths as PostgreSQL lays them over pages, whole pages at the end. 'switch': XLOG_SWITCH. */
function write(lengths: readonly (number | 'switch')[], segments = 1): Written {
  const bytes = Buffer.alloc(segments * segmentBytes);
  const at: number[] = [];
  let offset = 0;
  const openPage = (left: number): void => {
    bytes.writeUInt16LE(0xd116, offset);
    bytes.writeUInt16LE(left > 0 ? 1 : 0, offset + 2);
    bytes.writeUInt32LE(left, offset + 16);
    offset += offset % segmentBytes === 0 ? 40 : 24;
  };
  for (const each of lengths) {
    if (offset % pageBytes === 0) openPage(0);
    at.push(offset);
    const record = Buffer.alloc(each === 'switch' ? 24 : each, 0xaa);
    record.writeUInt32LE(record.length);
    record[16] = each === 'switch' ? 0x40 : 0x10;
    record[17] = each === 'switch' ? 0 : 10;
    for (let done = 0; done < record.length;) {
      if (offset % pageBytes === 0) openPage(record.length - done);
      const part = record.copy(bytes, offset, done, done + pageBytes - (offset % pageBytes));
      done += part;
      offset += part;
    }
    offset = each === 'switch' ? Math.ceil(offset / segmentBytes) * segmentBytes : Math.ceil(offset / 8) * 8;
  }
  return { bytes, at };
}

/** Whether the log ends behind the record with this number. */
function ends({ bytes, at }: Written, n: number): boolean {
  const segments = Array.from({ length: bytes.length / segmentBytes }, (_, i) =>
    bytes.subarray(i * segmentBytes, (i + 1) * segmentBytes),
  );
  return endsBehind({ position, segmentBytes, segments }, position + BigInt(at.at(n) ?? 0));
}

test('behind the last record there is nothing', () => {
  for (const lengths of [[100], [100, 61, 3000], [100, 9000, 24], [20_000], [8192 - 40, 100, 8192 - 24 - 104]]) {
    assert.ok(ends(write(lengths), -1), String(lengths));
  }
  // In the next segment, too, and behind the end of one that was left early.
  assert.ok(ends(write([30_000, 9000, 50], 2), -1));
  assert.ok(ends(write([500, 'switch'], 2), -1));
  assert.ok(ends(write([500, 'switch', 70], 2), -1));
});

test('the last bytes of the last record may be zeros', () => {
  const log = write([100, 400]);
  log.bytes.fill(0, (log.at[1] ?? 0) + 200);
  assert.ok(ends(log, -1));
});

test('a record that is damaged, with others behind it or as the last one, is no end', () => {
  for (const lengths of [
    [100, 61, 3000],
    [100, 61],
    [100, 9000, 24],
    [100, 9000],
    [8192 - 40, 100, 50],
  ]) {
    assert.ok(!ends(write(lengths), 0), String(lengths));
  }
  assert.ok(!ends(write([500, 'switch', 70], 2), 0));
  const log = write([100, 200, 300, 400]);
  log.bytes.writeUInt32LE(0, log.at[1] ?? 0);
  assert.ok(!ends(log, 0), 'its length is lost');
});

test('a record that a stream has cut at the end of a page is the end; one that is cut elsewhere is damage', () => {
  const cut = (lengths: readonly number[], bytes: number): Written => {
    const log = write(lengths);
    log.bytes.fill(0, bytes);
    return log;
  };
  assert.ok(ends(cut([100, 20_000], pageBytes), 0));
  assert.ok(ends(cut([100, 20_000], 2 * pageBytes), 0));
  assert.ok(!ends(cut([100, 3000], 1000), 0), 'the rest of a record in one page was written with it');
  const other = cut([100, 20_000], 2 * pageBytes);
  other.bytes.writeUInt32LE(5, pageBytes + 16);
  assert.ok(!ends(other, 0), 'on the next page another one goes on');
});
