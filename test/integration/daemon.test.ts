/** The daemon as an operator runs it: real processes, one repository, and what is in it afterwards. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { inForceSince, recordsOf } from '../helpers/cli/daemon.ts';

let bench: Bench;

const configure = (schedules: readonly object[], more: object = {}): void =>
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ schedules, ...more }));
/** Due every hour. */
const hourly = (id: string, more: object = {}): object => ({ id, type: 'files', cronExpression: '0 * * * *', ...more });

before(async () => {
  bench = makeBench();
  const folder = join(bench.folder, 'files');
  mkdirSync(folder);
  writeFileSync(join(folder, 'one'), 'content');
  bench.env = { ...bench.env, BACKUP_FILES: folder };
  await bench.json('init');
});
after(() => bench?.[Symbol.asyncDispose]());

test('what is due runs once, what was missed is caught up with, and SIGTERM ends it in good order', async () => {
  configure([hourly('first'), hourly('second', { type: 'cleanup' })]);
  for (const id of ['first', 'second']) await inForceSince(bench, id, 3);
  const daemon = await bench.start('daemon');
  await daemon.said(/"component":"first","message":"done: the slot of .* stands for 2 before it/);
  await daemon.said(/"component":"second","message":"done: /);
  daemon.kill('SIGTERM');
  const { exitCode, stdout, stderr } = await daemon.result;
  assert.equal(exitCode, 0, stderr);
  assert.equal(stdout, '');
  for (const line of stderr.trim().split('\n')) assert.ok(JSON.parse(line), line);
  assert.equal((await bench.ids()).length, 1);
  for (const id of ['first', 'second']) {
    const records = await recordsOf(bench, id);
    assert.deepEqual(
      records.map(({ outcome, attempt, covers }) => [outcome, attempt, covers]),
      [['done', 1, 2]],
    );
  }
  await bench.nothingLeft();
});
