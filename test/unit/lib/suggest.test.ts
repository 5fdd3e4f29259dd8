import assert from 'node:assert/strict';
import { test } from 'node:test';
import { didYouMean, editDistance, nearest } from '../../../src/lib/suggest.ts';

test('distance counts insertions, deletions, replacements and swaps of neighbours', () => {
  for (const [a, b, distance] of [
    ['', 'ab', 2],
    ['database', 'databse', 1],
    ['database', 'databaes', 1],
    ['kitten', 'sitting', 3],
    ['same', 'same', 0],
  ] as const) {
    assert.equal(editDistance(a, b), distance);
    assert.equal(editDistance(b, a), distance);
  }
});

test('the nearest candidate is named, a far one is not', () => {
  const commands = ['backup', 'list', 'restore', 'status'];
  assert.equal(nearest('bakcup', commands), 'backup');
  assert.equal(nearest('LIST', commands), 'list');
  assert.equal(nearest('frobnicate', commands), undefined);
  assert.equal(didYouMean('restor', commands), ' (did you mean "restore"?)');
  assert.equal(didYouMean('xyz', commands), '');
});
