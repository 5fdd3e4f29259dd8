import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { LineSum } from '../../../../../src/source/postgres/facts/line-sum.ts';

const sumOf = (text: string, pieceBytes = Infinity): [bigint, bigint] => {
  const bytes = Buffer.from(text);
  const sum = new LineSum();
  for (let at = 0; at < bytes.length; at += pieceBytes) sum.add(bytes.subarray(at, at + pieceBytes));
  return [sum.lines, sum.sum];
};

const firstHalf = (line: string): bigint => BigInt(`0x${createHash('sha256').update(line).digest('hex').slice(0, 32)}`);

test('adds the first 128 bits of the SHA-256 of each line, modulo 2^128', () => {
  const lines = ['a\tb', '', 'ü', '', 'c'];
  const expected = lines.reduce((sum, line) => (sum + firstHalf(line)) % 2n ** 128n, 0n);
  assert.deepEqual(sumOf(lines.map((line) => `${line}\n`).join('')), [5n, expected]);
  assert.deepEqual(sumOf(''), [0n, 0n]);
});

test('does not depend on the order of lines, nor on where the stream is cut', () => {
  const text = 'one\ntwo\n\nthree and more\n';
  for (const pieceBytes of [1, 2, 3, 7, 100]) assert.deepEqual(sumOf(text, pieceBytes), sumOf(text), `${pieceBytes}`);
  assert.deepEqual(sumOf('\nthree and more\ntwo\none\n'), sumOf(text));
});

test('tells lines apart that only differ in where they end, and how often they are there', () => {
  assert.notDeepEqual(sumOf('ab\nc\n'), sumOf('a\nbc\n'));
  assert.notDeepEqual(sumOf('a\na\nb\n'), sumOf('a\nb\nb\n'));
});
