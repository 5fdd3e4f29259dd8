/** What a restore leaves out where the rows of a table are not in the backup. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TocEntry } from '../../../../../src/source/postgres/archive/format.ts';
import { withoutTies } from '../../../../../src/source/postgres/restore/missing-rows.ts';

function entry(dumpId: number, type: string, name: string, ...needs: number[]): TocEntry {
  return { dumpId, type, name, schema: 'public', section: type === 'TABLE' ? 'pre-data' : 'post-data', needs };
}

const toc = [
  entry(1, 'TABLE', 'bad'),
  entry(2, 'TABLE', 'bad child', 8),
  entry(3, 'TABLE', 'other'),
  entry(4, 'CONSTRAINT', 'bad bad_pkey', 1),
  entry(5, 'CONSTRAINT', 'other other_pkey', 3),
  entry(6, 'FK CONSTRAINT', 'bad child child_to_bad', 2, 1, 4),
  entry(7, 'FK CONSTRAINT', 'bad bad_to_other', 1, 5),
  entry(8, 'TYPE', 'kind'),
  entry(9, 'FK CONSTRAINT', 'bad bad_to_itself', 1, 4),
];
const leftOut = [{ schema: 'public', name: 'bad' }];

test('keys to the table are left out, its own are not, since it has no row', () => {
  const { ids, notes } = withoutTies(toc, leftOut, undefined);
  assert.deepEqual(ids, [1, 2, 3, 4, 5, 7, 8, 9]);
  assert.equal(notes.length, 2);
  assert.match(notes[0] ?? '', /bad\S* comes back empty/);
  assert.match(notes[1] ?? '', /^foreign key bad child child_to_bad is not restored/);
});

test('of a selection only what is in it', () => {
  const { ids, notes } = withoutTies(toc, leftOut, new Set([3, 5]));
  assert.deepEqual(ids, [3, 5]);
  assert.deepEqual(notes, []);
});
