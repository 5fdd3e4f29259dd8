import assert from 'node:assert/strict';
import { clearLine, cursorTo, moveCursor } from 'node:readline';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import { LifeboatError } from '../../../src/lib/errors.ts';
import type { LifeboatEvent } from '../../../src/lib/events.ts';
import { logSink } from '../../../src/report/log.ts';
import { confirmByName } from '../../../src/ui/confirm.ts';
import { drawProgress, ProgressBook } from '../../../src/ui/progress.ts';
import { colours, isInteractive, write, type CliIo } from '../../../src/ui/terminal.ts';

function terminal(typed?: string, columns = 80): { io: CliIo; shown: () => string } {
  const stdin = Object.assign(new PassThrough(), { isTTY: typed !== undefined });
  if (typed !== undefined) stdin.end(typed);
  const stderr = Object.assign(new PassThrough(), {
    isTTY: true,
    columns,
    cursorTo: (x: number) => cursorTo(stderr, x),
    clearLine: (direction: -1 | 0 | 1) => clearLine(stderr, direction),
    moveCursor: (x: number, y: number) => moveCursor(stderr, x, y),
  });
  let text = '';
  stderr.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return { io: { stdin, stdout: new PassThrough(), stderr, env: {}, cwd: '/' }, shown: () => text };
}

const question = { name: 'shop', consequences: ['database app is replaced', 'its sessions are ended'] };

describe('confirmation', () => {
  test('takes the name from the flag or the terminal', async () => {
    const { io, shown } = terminal('shop\n');
    await confirmByName(io, undefined, question);
    assert.match(shown(), /database app is replaced\n +its sessions are ended\nType shop to go on: /);
    await confirmByName(terminal().io, 'shop', question);
  });

  test('is refused (18) for a wrong name, an end of input, and where nobody can answer', async () => {
    for (const [typed, given] of [
      ['yes\n', undefined],
      ['', undefined],
      [undefined, undefined],
      ['shop\n', 'other'],
    ] as const) {
      await assert.rejects(
        confirmByName(terminal(typed).io, given, question),
        (error: unknown) =>
          error instanceof LifeboatError &&
          error.exitCode === 18 &&
          error.hint === 'to go on without a question: --confirm=shop' &&
          error.state === 'nothing was changed',
      );
    }
  });
});

test('a question ends when the run is stopped', async () => {
  const controller = new AbortController();
  const { io } = terminal('');
  const asked = confirmByName(
    { ...io, stdin: Object.assign(new PassThrough(), { isTTY: true }) },
    undefined,
    question,
    controller.signal,
  );
  setTimeout(() => controller.abort(), 20);
  await assert.rejects(asked, /the name was not typed/);
});

test('progress is for terminals with columns, outside of build servers', () => {
  const { io } = terminal('');
  assert.equal(isInteractive(io), true);
  for (const env of [{ CI: 'true' }, { CI: '1' }, { TERM: 'dumb' }]) assert.equal(isInteractive({ ...io, env }), false);
  assert.equal(isInteractive(terminal('', 0).io), false);
  assert.equal(isInteractive({ ...io, stderr: new PassThrough() }), false);
});

test('colours only on a terminal, and not under NO_COLOR, CI, TERM=dumb or --no-color', async () => {
  const tty = terminal('').io.stderr;
  assert.notEqual((await colours(tty, {}, true)).red('x'), 'x');
  for (const env of [{ NO_COLOR: '1' }, { CI: 'true' }, { TERM: 'dumb' }]) {
    assert.equal((await colours(tty, env, true)).red('x'), 'x');
  }
  assert.equal((await colours(tty, {}, false)).red('x'), 'x');
  assert.equal((await colours(new PassThrough(), {}, true)).red('x'), 'x');
});

test('only the colours that we painted are written, whatever a text holds', async () => {
  const { io, shown } = terminal('');
  const paint = await colours(io.stderr, {}, true);
  const hostile = 'x\u001b[31m\u001b]0;t\u0007\u009b2J\u202e\r';
  const safe = 'x\\u001b[31m\\u001b]0;t\\u0007\\u009b2J\\u202e\\u000d';
  await write(io.stderr, `${paint.red(hostile)} ${hostile}\n`);
  assert.equal(shown(), `\u001b[31m${safe}\u001b[39m ${safe}\n`);
});

const progress = (readBytes: number, more: object = {}): Extract<LifeboatEvent, { type: 'progress' }> => ({
  type: 'progress',
  component: 'database',
  readBytes,
  newBytes: 1024,
  storedBytes: 512,
  ...more,
});

test('a line of progress tells bytes, speed, new, stored, elapsed and remaining', () => {
  let nowMs = 0;
  const book = new ProgressBook(() => nowMs);
  book.note(progress(0));
  assert.deepEqual(book.lines(), ['database: read 0 B, new 1.0 KiB, stored 512 B, 0 ms']);
  nowMs = 10_000;
  book.note(progress(100 * 1024 ** 2, { totalBytes: 300 * 1024 ** 2 }));
  assert.deepEqual(book.lines(), [
    'database: read 100.0 MiB of about 300.0 MiB, 10.0 MiB/s, new 1.0 KiB, stored 512 B, 10.0 s, about 20.0 s left',
  ]);
});

test('the drawing keeps warnings as lines and is gone at the end', async () => {
  const { io, shown } = terminal('');
  const book = new ProgressBook();
  const display = await drawProgress(io.stderr, book, { steps: true, debug: false, colour: false });
  book.note(progress(5));
  display.emit({ type: 'step', component: 'database', message: 'dumping app' });
  display.emit(progress(5));
  display.emit({ type: 'warning', component: 'files', message: 'a file vanished' });
  display.emit({ type: 'debug', message: 'hidden' });
  display.end();
  assert.match(shown(), /warning: files: a file vanished\n/);
  assert.match(shown(), /dumping app/);
  assert.doesNotMatch(shown(), /hidden/);
});

test('the log writes lines with time and level, from its level up, one line an event', () => {
  const lines: string[] = [];
  const events: LifeboatEvent[] = [
    { type: 'step', component: 'redis', message: 'snapshot' },
    { type: 'warning', message: 'two\nlines' },
    { type: 'debug', message: 'detail' },
    progress(1),
  ];
  const now = (): Date => new Date('2026-01-02T03:04:05.678Z');
  for (const event of events) logSink((line) => lines.push(line), 'info', now)(event);
  assert.deepEqual(lines, ['2026-01-02T03:04:05Z info redis: snapshot', '2026-01-02T03:04:05Z warn two lines']);
  lines.length = 0;
  for (const event of events) logSink((line) => lines.push(line), 'warn', now)(event);
  assert.equal(lines.length, 1);
  lines.length = 0;
  for (const event of events) logSink((line) => lines.push(line), 'debug', now)(event);
  assert.equal(lines.length, 3);
});
