import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeboatError } from '../../../src/lib/errors.ts';
import { printable, printableLines, printableText, printableValue } from '../../../src/lib/printable.ts';
import { logSink } from '../../../src/report/log.ts';
import { displayPath } from '../../../src/source/files/names.ts';
import { failureText } from '../../../src/ui/failure.ts';
import { columns } from '../../../src/ui/table.ts';

/** Turns red, rings, breaks the line twice, runs backwards, and ends in half a character. */
const hostile = 'a\u001b[31m\u0007\r\n\u2028\u202egpj\u2066\u200f\ud800';
const shown = 'a\\u001b[31m\\u0007\\u000d\\u000a\\u2028\\u202egpj\\u2066\\u200f\\ud800';

test('what breaks a line, drives a terminal or turns the writing direction is shown as an escape', () => {
  assert.equal(printable(hostile), shown);
  assert.equal(printable('a\u{e0001}\u200b\u007f\u009b'), 'a\\udb40\\udc01\\u200b\\u007f\\u009b');
  const harmless = ['größe 日本 🚢 ❤️ 👩‍👧 العربية', 'a "b" \\ c', ''];
  for (const text of harmless) assert.equal(printable(text), text);
  assert.equal(printableLines('one\n\u001b[2Jtwo'), 'one\n\\u001b[2Jtwo');
});

test('a whole text keeps its lines and tabs, JSON its meaning, and each text of a value is on one line', () => {
  assert.equal(printableText('one\n\ttwo\r\u009b2J'), 'one\n\ttwo\\u000d\\u009b2J');
  const document = { [hostile]: [hostile, 1, null, true] };
  assert.deepEqual(JSON.parse(printableText(JSON.stringify(document))), document);
  assert.deepEqual(printableValue({ ...document, map: new Map([['\n', '\t']]), none: undefined }), {
    [shown]: [shown, 1, null, true],
    map: new Map([['\\u000a', '\\u0009']]),
    none: undefined,
  });
});

test('tables, failures, the log and paths of files print it so', async () => {
  assert.equal(await columns(['NAME'], [[hostile]]), `NAME\n${shown}`);
  const failure = new LifeboatError('source', 'table \u001b[2J', { state: '\u202e', hint: '\u0007' });
  assert.equal(failureText(failure, false), 'lifeboat: table \\u001b[2J\nstate: \\u202e\nhint: \\u0007\n');
  const twoLines = new LifeboatError('source', 'table a\nhint: rm -rf /');
  assert.equal(failureText(twoLines, false), 'lifeboat: table a\n  hint: rm -rf /\n');
  const lines: string[] = [];
  logSink((line) => lines.push(line), 'info')({ type: 'warning', message: 'table \u001b[2J' });
  assert.match(lines[0] ?? '', /warn table \\u001b\[2J$/);
  assert.equal(displayPath(Buffer.from('/a\u202ejpg')), '"/a\\u202ejpg"');
});
