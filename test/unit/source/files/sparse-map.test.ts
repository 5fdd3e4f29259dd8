/** Maps of files with holes: as GNU tar writes them, and never longer than is allowed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dataBytes,
  encodeSparseMap,
  inHoles,
  maxStretches,
  type SparseMap,
  StretchList,
} from '../../../../src/source/files/sparse-map.ts';

const map: SparseMap = {
  length: 100_000,
  data: [
    { start: 0, end: 512 },
    { start: 4096, end: 5000 },
  ],
};

test('a map is decimal numbers in whole blocks; an end without data is an empty stretch', () => {
  const text = (of: SparseMap): string => encodeSparseMap(of).toString('latin1').replace(/\0+$/, '');
  assert.equal(text(map), '3\n0\n512\n4096\n904\n100000\n0\n');
  assert.equal(text({ ...map, length: 5000 }), '2\n0\n512\n4096\n904\n');
  assert.equal(text({ length: 7, data: [] }), '1\n7\n0\n');
  assert.equal(encodeSparseMap(map).length, 512);
  assert.equal(dataBytes(map), 1416);
});

test('what of some stretches lies in holes', () => {
  const all = [...inHoles([{ start: 0, end: 200_000 }], map)];
  assert.deepEqual(all, [
    { start: 512, end: 4096 },
    { start: 5000, end: 200_000 },
  ]);
  const some = [
    ...inHoles(
      [
        { start: 10, end: 20 },
        { start: 500, end: 600 },
        { start: 4000, end: 4100 },
      ],
      map,
    ),
  ];
  assert.deepEqual(some, [
    { start: 512, end: 600 },
    { start: 4000, end: 4096 },
  ]);
  assert.deepEqual([...inHoles([{ start: 1, end: 2 }], { length: 9, data: [] })], [{ start: 1, end: 2 }]);
});

test('near stretches become one, and of very many those with the smallest holes between', () => {
  const list = new StretchList(100);
  for (const start of [0, 50, 149, 400]) list.add({ start, end: start + 10 });
  assert.deepEqual(list.get(), [
    { start: 0, end: 159 },
    { start: 400, end: 410 },
  ]);
  const many = new StretchList(100);
  many.add({ start: 0, end: 1 });
  for (let at = 0; at < 50_000; at++) many.add({ start: 1e9 + at * 1000, end: 1e9 + at * 1000 + 10 });
  const found = many.get();
  assert.ok(found.length <= maxStretches);
  assert.deepEqual(found[0], { start: 0, end: 1 });
  assert.equal(found.at(-1)?.end, 1e9 + 49_999_010);
});
