/** What is read of pg_waldump's lines, in the words of old and new versions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changesIn, lastRecordIn, marksIn, pageOf } from '../../../../../src/source/postgres/wal/dumped-records.ts';
import { lastGoodOf, positionOfFault } from '../../../../../src/source/postgres/wal/waldump.ts';

const line = (manager: string, xid: number, lsn: string, desc: string): string => {
  const head = `rmgr: ${manager.padEnd(11)} len (rec/tot):     34/    34, tx: ${String(xid).padStart(10)}`;
  return `${head}, lsn: ${lsn}, prev 0/01000000, desc: ${desc}\n`;
};
const atUs = BigInt(Date.UTC(2026, 0, 2, 3, 4, 5)) * 1000n;

test('ends of transactions, with parts and prepared ones, and restore points', () => {
  const text = [
    line('Transaction', 742, '0/0155A0B8', 'COMMIT 2026-01-02 03:04:05.120000 UTC; subxacts: 743 744'),
    line('Heap', 745, '0/0155A0F8', 'INSERT off 3 flags 0x00, blkref #0: rel 1663/5/16384 blk 0'),
    line('Transaction', 0, '0/0155A138', 'COMMIT_PREPARED 746: 2026-01-02 03:04:05 UTC; dbid 5'),
    line('Transaction', 747, '0/0155A178', 'ABORT 2026-01-02 03:04:05.000001 UTC'),
    line('XLOG', 0, '0/0155A1B8', 'RESTORE_POINT before migration'),
    line('XLOG', 0, '1/0155A1F8', 'SWITCH '),
  ].join('');
  assert.deepEqual(marksIn(text), [
    { kind: 'end', lsn: 0x155a0b8n, committed: true, atUs: atUs + 120_000n, xids: [742n, 743n, 744n] },
    { kind: 'end', lsn: 0x155a138n, committed: true, atUs, xids: [746n] },
    { kind: 'end', lsn: 0x155a178n, committed: false, atUs: atUs + 1n, xids: [747n] },
    { kind: 'point', lsn: 0x155a1b8n, name: 'before migration' },
  ]);
  assert.equal(lastRecordIn(text), 0x10155a1f8n);
  assert.equal(lastRecordIn(''), undefined);
});

test('rows that were written, and pages that something has touched', () => {
  const row = (xid: bigint, block: number, offset: number): object => ({
    xid,
    tablespace: 1663,
    database: 5,
    filenode: 16384,
    block,
    offset,
  });
  const changes = changesIn(
    [
      line('Heap', 1, '0/10', 'INSERT off 3 flags 0x00, blkref #0: rel 1663/5/16384 blk 0'),
      line('Heap', 2, '0/20', 'INSERT+INIT off: 1, flags: 0x00, blkref #0: rel 1663/5/16384 blk 1'),
      line('Heap', 3, '0/30', 'HOT_UPDATE old_xmax: 3, old_off: 1, new_off: 2, blkref #0: rel 1663/5/16384 blk 1'),
      line('Heap2', 4, '0/40', 'MULTI_INSERT+INIT 5 tuples, blkref #0: rel 1663/5/16384 blk 2'),
      line('Heap2', 4, '0/48', 'MULTI_INSERT 5 tuples, blkref #0: rel 1663/5/16384 blk 3'),
      line('Heap2', 0, '0/50', 'VISIBLE cutoff xid 0, blkref #0: rel 1663/5/16384 fork vm blk 0'),
      line('Heap', 5, '0/60', 'DELETE off 3 flags 0x00, blkref #0: rel 1663/5/16384 blk 0'),
      line('Btree', 5, '0/70', 'INSERT_LEAF off 1, blkref #0: rel 1663/5/16390 blk 1'),
    ].join(''),
  );
  assert.deepEqual(changes, [
    { kind: 'row', lsn: 0x10n, isFresh: false, row: row(1n, 0, 3) },
    { kind: 'row', lsn: 0x20n, isFresh: true, row: row(2n, 1, 1) },
    { kind: 'touched', lsn: 0x30n, pages: ['1663/5/16384/1'] },
    { kind: 'row', lsn: 0x30n, isFresh: false, row: row(3n, 1, 2) },
    { kind: 'row', lsn: 0x40n, isFresh: true, row: row(4n, 2, 1) },
    { kind: 'touched', lsn: 0x60n, pages: ['1663/5/16384/0'] },
  ]);
  const [first] = changes;
  assert.equal(first?.kind === 'row' ? pageOf(first.row) : '', '1663/5/16384/0');
});

test('a fault names the record that is damaged, and the one before it', () => {
  const damaged = 'error in WAL record at 0/155A0B8: incorrect resource manager data checksum in record at 0/155A0F8';
  assert.equal(positionOfFault(damaged), '0/155A0F8');
  assert.equal(lastGoodOf(damaged), '0/155A0B8');
});
