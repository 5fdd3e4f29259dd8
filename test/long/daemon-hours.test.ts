/**
 * Hours of two daemons within minutes: the real program, with a clock that runs faster (libfaketime). Each slot must
 * come to its end once, also where one daemon is killed with all that it runs.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ListResult } from '../../src/operations/list/request.ts';
import { slotOfTag } from '../../src/repository/slots/names.ts';
import { endProcesses } from '../runner/leftovers.ts';
import { makeBench, type Bench, type RunningCommand } from '../helpers/cli/command-run.ts';
import { recordsOf } from '../helpers/cli/daemon.ts';

/** So much faster does their clock run. */
const speed = 40;
const everyMs = 30 * 60_000;
const slots = 8;

let bench: Bench;

before(async () => {
  bench = makeBench();
  const folder = join(bench.folder, 'files');
  mkdirSync(folder);
  writeFileSync(join(folder, 'one'), 'content');
  bench.env = { ...bench.env, BACKUP_FILES: folder };
  await bench.json('init');
  const schedules = [{ id: 'often', type: 'files', cronExpression: '*/30 * * * *', timezone: 'Europe/Berlin' }];
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ schedules }));
});
after(() => bench?.[Symbol.asyncDispose]());

function faketimeLibrary(): string {
  const found = readdirSync('/usr/lib')
    .map((name) => join('/usr/lib', name, 'faketime/libfaketime.so.1'))
    .find((path) => existsSync(path));
  assert.ok(found !== undefined, 'libfaketime is not installed: node test/setup.js --tools=long');
  return found;
}

test('hours of two daemons, one of which is killed: each slot once', async () => {
  const library = faketimeLibrary();
  const begunMs = Date.now();
  const passedMs = (): number => (Date.now() - begunMs) * speed;
  // A process counts from its own start.
  const start = async (name: string): Promise<RunningCommand> =>
    bench.start('daemon', {
      env: {
        LD_PRELOAD: library,
        FAKETIME: `+${Math.round((passedMs() - (Date.now() - begunMs)) / 1000)} x${speed}`,
        BACKUP_STATE_DIR: join(bench.folder, name),
      },
    });
  const [one, two] = [await start('one'), await start('two')];
  while (passedMs() < 3 * everyMs) await sleep(100);
  // At any moment: now and then in mid-backup.
  one.kill('SIGKILL');
  await one.result;
  const three = await start('one');
  while (passedMs() < slots * everyMs) await sleep(100);
  for (const daemon of [two, three]) daemon.kill('SIGTERM');
  for (const { result } of [two, three]) assert.equal((await result).exitCode, 0);
  await endProcesses(bench.tmp);
  const { backups } = await bench.json<ListResult>('list');
  const slotsOf = (tags: readonly string[]): number[] => tags.flatMap((tag) => slotOfTag(tag)?.dueMs ?? []);
  const done = backups.flatMap(({ tags }) => slotsOf(tags)).toSorted((a, b) => a - b);
  assert.equal(new Set(done).size, done.length, 'none twice');
  const covered = (await recordsOf(bench, 'often')).reduce((sum, { outcome, covers = 0 }) => {
    return outcome === 'done' ? sum + covers : sum;
  }, 0);
  const [first = 0, last = 0] = [done[0], done.at(-1)];
  assert.ok(done.length >= slots - 3, `only ${done.length} slots`);
  assert.ok((last - first) / everyMs + 1 <= done.length + covered, 'none was left out');
});
