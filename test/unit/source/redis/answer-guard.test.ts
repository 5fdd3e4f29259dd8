import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerGuard } from '../../../../src/source/redis/answer-guard.ts';

const mib = 1024 * 1024;

/** The fault in all of it, fed in pieces of so many bytes. */
function faultIn(text: string, pieceBytes = Infinity): string | undefined {
  const bytes = Buffer.from(text, 'latin1');
  const guard = new AnswerGuard();
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const fault = guard.faultIn(bytes.subarray(at, Math.min(bytes.length, at + pieceBytes)));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

const sound = [
  '+OK\r\n',
  '-ERR no\r\n+OK\r\n',
  ':-9223372036854775808\r\n',
  '$-1\r\n*-1\r\n$0\r\n\r\n*0\r\n',
  '*2\r\n$1\r\n5\r\n*2\r\n$3\r\n\r\n*\r\n$-1\r\n+PONG\r\n',
  `${'*1\r\n'.repeat(15)}:1\r\n`,
];

test('what an honest server answers is let through, however it is cut', () => {
  for (const text of sound) {
    for (const pieceBytes of [1, 2, 3, 7, Infinity]) assert.equal(faultIn(text, pieceBytes), undefined, text);
  }
});

test('what only claims to be an answer is a fault, however it is cut', () => {
  for (const [text, fault] of [
    ['hello\r\n', /not its protocol/],
    ['+OK\n', /not its protocol/],
    ['+O\rK\r\n', /not its protocol/],
    [':1x\r\n', /not its protocol/],
    ['$-2\r\n', /not its protocol/],
    ['$1e9\r\n', /not its protocol/],
    ['>2\r\n', /not its protocol/],
    ['%1\r\n', /not its protocol/],
    [`$${64 * mib + 1}\r\n`, /more than 64 MiB/],
    ['$99999999999\r\n', /more than 64 MiB/],
    ['*1000001\r\n', /more than 1000000 items/],
    ['*1000\r\n'.repeat(3) + '*1000000\r\n', /more than 1000000 items/],
    ['*1\r\n'.repeat(16), /nested too deeply/],
    ['*2\r\n:1\r\n-ERR x\r\n', /an error in the middle/],
    ['+' + 'x'.repeat(65 * 1024), /a line without end/],
  ] as const) {
    for (const pieceBytes of [1, 5, Infinity]) assert.match(faultIn(text, pieceBytes) ?? '', fault, text.slice(0, 40));
  }
});

test('an answer counts from its first byte: a reader may take a lone CR for the end of its line', () => {
  for (const [text, begun] of [
    ['+OK\r\n', 1],
    ['+OK\r\n$-1\r', 2],
    ['$1\r\na\r\n$', 2],
    ['*2\r\n:1\r\n', 1],
    ['$3\r\nab', 1],
    ['*1\r\n$1\r\nx\r\n:1\r\n', 2],
  ] as const) {
    const guard = new AnswerGuard();
    assert.equal(guard.faultIn(Buffer.from(text)), undefined);
    assert.equal(guard.answersBegun, begun, text);
  }
});

test('a line that has not ended yet may already be none', () => {
  for (const text of ['$-.1e999\r0', '*2\r\n:1\r\n$-1"_', '+OK\rx', ':1x', '$12x', '*-2', '_', '>']) {
    for (const pieceBytes of [1, 2, Infinity]) assert.match(faultIn(text, pieceBytes) ?? '', /not its protocol/, text);
  }
  for (const text of ['$', '$-', '$-1', '$-1\r', '$12\r', '*', ':', ':-', ':-12', '+', '-ERR', '-ERR x\r']) {
    assert.equal(faultIn(text), undefined, text);
  }
});

test('limits are of one answer: many may come', () => {
  const guard = new AnswerGuard();
  const one = Buffer.from(`*2\r\n$${40 * mib}\r\n${'x'.repeat(40 * mib)}\r\n:1\r\n`);
  for (let n = 0; n < 3; n++) assert.equal(guard.faultIn(one), undefined);
  assert.match(guard.faultIn(Buffer.from(`*2\r\n$${40 * mib}\r\n`)) ?? '', /^$/);
  guard.faultIn(Buffer.from('x'.repeat(40 * mib) + '\r\n'));
  assert.match(guard.faultIn(Buffer.from(`$${40 * mib}\r\n`)) ?? '', /more than 64 MiB/);
});
