/** Golden cases for path patterns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeboatError } from '../../../../src/lib/errors.ts';
import { decodeName } from '../../../../src/source/files/names.ts';
import { compilePatterns } from '../../../../src/source/files/pattern.ts';

/** patterns, paths that match (a slash at the end: a folder), paths that do not. */
const cases: [string[], string[], string[]][] = [
  [[], [], ['a', 'a/']],
  [['*.tmp'], ['a.tmp', 'd/a.tmp', '.tmp', 'a.tmp/'], ['a.tmpx', 'tmp', 'a.tmp/b']],
  [['build/'], ['build/', 'a/build/'], ['build', 'rebuild/']],
  [['/build'], ['build', 'build/'], ['a/build']],
  [['a/b'], ['a/b', 'a/b/'], ['x/a/b', 'a', 'a/b/c']],
  [['**/a/b'], ['a/b', 'x/a/b', 'x/y/a/b'], ['a/x/b']],
  [['a/**/b'], ['a/b', 'a/x/b', 'a/x/y/b'], ['b', 'x/a/b']],
  [['a/**'], ['a/b', 'a/b/c'], ['a', 'a/', 'b/a/c']],
  [['**'], ['a', 'a/b'], []],
  [['/*'], ['a', 'a/'], ['a/b']],
  [['a?c'], ['abc', 'aéc', 'a🚀c'], ['ac', 'abbc', 'a/c']],
  [['[a-c]x'], ['ax', 'cx'], ['dx', 'x', '-x']],
  [
    ['[!a-c]x', '[^y]z'],
    ['dx', 'az'],
    ['ax', 'yz'],
  ],
  [['[]]', '[a-]'], [']', 'a', '-'], ['b']],
  [
    ['\\*', 'a\\?', '\\!x', '\\#'],
    ['*', 'a?', '!x', '#'],
    ['b', 'ab', 'x'],
  ],
  [['[\\]]'], [']'], ['\\']],
  [['# comment', '', 'x'], ['x'], ['# comment']],
  [['*.log', '!keep.log'], ['a.log'], ['keep.log', 'd/keep.log']],
  [['!keep.log', '*.log'], ['keep.log'], ['other']],
  [['*', '!*/', '!*.ts'], ['a.js'], ['d/', 'a.ts']],
  [['a*b*c'], ['abc', 'axbxc', 'abbcc'], ['acb', 'ab/c']],
  [['*'], ['\n', '\udcff', '..x', 'a/b'], []],
  [['ж*'], ['жук'], ['zh']],
];

test('patterns match what the table says', () => {
  for (const [patterns, matching, others] of cases) {
    const matches = compilePatterns(patterns);
    const isMatch = (path: string): boolean => matches(path.replace(/\/$/, '').split('/'), path.endsWith('/'));
    for (const path of matching) {
      assert.ok(isMatch(path), `${JSON.stringify(patterns)} should match ${JSON.stringify(path)}`);
    }
    for (const path of others) {
      assert.ok(!isMatch(path), `${JSON.stringify(patterns)} should not match ${JSON.stringify(path)}`);
    }
  }
});

test('unreadable patterns are usage errors', () => {
  for (const pattern of ['[a', 'a\\', '/', '!', '[z-a]']) {
    assert.throws(
      () => compilePatterns([pattern]),
      (error) => error instanceof LifeboatError && error.code === 'usage',
      pattern,
    );
  }
});

test('no pattern takes long', () => {
  const matches = compilePatterns([`${'*a'.repeat(30)}*b`, `${'**/a/'.repeat(30)}b`]);
  const start = performance.now();
  assert.ok(!matches(['a'.repeat(255)], false));
  assert.ok(
    !matches(
      Array.from({ length: 2000 }, () => 'a'),
      false,
    ),
  );
  assert.ok(performance.now() - start < 20_000);
});

test('names that are not UTF-8 match by their bytes', () => {
  const name = Buffer.from([0x61, 0xff, 0xc3, 0xa9, 0x62]);
  assert.equal(decodeName(name), 'a\udcfféb');
  assert.ok(compilePatterns(['a??b'])([decodeName(name)], false));
});
