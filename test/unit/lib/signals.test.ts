import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AbortedError } from '../../../src/lib/errors.ts';
import { onStatusRequest, withSignals } from '../../../src/lib/signals.ts';

test('the first signal aborts; the work ends with AbortedError whatever it fails with', async () => {
  for (const [name, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const before = process.listenerCount(name);
    const run = withSignals(async (signal) => {
      process.kill(process.pid, name);
      await sleep(10_000, undefined, { signal }).catch(() => {});
      throw new Error('a tool broke because it was ended');
    });
    await assert.rejects(run, (error: unknown) => error instanceof AbortedError && error.exitCode === exitCode);
    assert.equal(process.listenerCount(name), before);
  }
});

test('work that was done although a signal came is done', async () => {
  assert.equal(
    await withSignals(async () => {
      process.kill(process.pid, 'SIGINT');
      await sleep(50);
      return 'done';
    }),
    'done',
  );
});

test('a second signal ends the process at once', async () => {
  const module = new URL('../../../src/lib/signals.ts', import.meta.url).href;
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `
    const { withSignals } = await import(${JSON.stringify(module)});
    await withSignals(async (signal) => {
      signal.addEventListener('abort', () => console.log('aborting'));
      console.log('ready');
      await new Promise((r) => setTimeout(r, 30000));
    });`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    lines.push(text.trim());
    child.kill('SIGTERM');
  });
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
  assert.equal(signal, 'SIGTERM');
  assert.deepEqual(lines, ['ready', 'aborting']);
});

test('SIGUSR1 asks for a status line until disposed of', async () => {
  process.on('SIGUSR1', ignore);
  let asked = 0;
  {
    using _ = onStatusRequest(() => asked++);
    process.kill(process.pid, 'SIGUSR1');
    await sleep(50);
  }
  process.kill(process.pid, 'SIGUSR1');
  await sleep(50);
  process.removeListener('SIGUSR1', ignore);
  assert.equal(asked, 1);
});

function ignore(): void {}
