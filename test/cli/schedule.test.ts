/** Schedules as typed: what they stand for, with their options; what is wrong with one. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { AuditResult } from '../../src/operations/audit/audit.ts';
import type { ListResult } from '../../src/operations/list/request.ts';
import type { ScheduleListResult, ScheduleRunResult } from '../../src/operations/schedule/request.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { acquireLease } from '../../src/repository/leases/acquire.ts';
import { openLocalStorage } from '../../src/storage/local/local.ts';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';

let bench: Bench;

const configure = (schedules: readonly object[]): void =>
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ schedules }));
const daily = (id: string, more: object = {}): object => ({
  id,
  cronExpression: '30 2 * * *',
  timezone: 'Europe/Berlin',
  ...more,
});

before(async () => {
  bench = makeBench();
  const folder = join(bench.folder, 'files');
  mkdirSync(folder);
  writeFileSync(join(folder, 'one'), 'content');
  bench.env = { ...bench.env, BACKUP_FILES: folder };
  await bench.json('init');
});
after(() => bench?.[Symbol.asyncDispose]());

test('a run does what the command does: options, exit code, audit record; silent on success', async () => {
  configure([
    daily('nightly', { options: { label: 'by night', tag: 'mine', maxSize: '1GB' } }),
    daily('look', { type: 'validate', options: { quick: true } }),
    daily('state', { type: 'status', options: { maxAge: '1s', days: 3 } }),
    daily('tidy', { type: 'cleanup', options: { 'max-delete': 2 } }),
    daily('whole', { type: 'integrity' }),
  ]);
  const run = await bench.json<ScheduleRunResult>('schedule run nightly');
  documents['schedule-run'].parse(run);
  const { backups } = await bench.json<ListResult>('list');
  assert.deepEqual(
    backups.map(({ id, label, tags }) => [id, label, tags]),
    [[run.backupId, 'by night', ['mine']]],
  );
  for (const id of ['look', 'tidy', 'whole']) {
    const quiet = await bench.run(`schedule run ${id} --quiet`);
    assert.deepEqual([quiet.exitCode, quiet.stdout, quiet.stderr], [0, '', ''], id);
  }
  const state = await bench.json<ScheduleRunResult>('schedule run state', { exitCode: 19 });
  assert.deepEqual([state.outcome, state.exitCode], ['failed', 19], 'as status --max-age 1s ends');
  const { records } = await bench.json<AuditResult>('audit');
  const commands = records.map(({ command }) => command);
  assert.deepEqual(commands.filter((each) => ['backup', 'cleanup'].includes(each)).toSorted(), ['backup', 'cleanup']);
  assert.match((await bench.run('schedule run look')).stdout, /^schedule look: done, took /m);
});

test('a limit ends a run, and nothing is left of it', async () => {
  configure([daily('slow', { timeoutSeconds: 1, options: { ifRunning: 'wait=1h' } })]);
  await using _ = await acquireLease(openLocalStorage(bench.repository), { scope: 'backup-main', command: 'test' });
  assertFailed(await bench.run('schedule run slow'), 13, /schedule slow took longer than 1 s/);
});

test('list and show need no secret and no repository', async () => {
  configure([daily('nightly'), daily('off', { enabled: false }), daily('boot', { cronExpression: '@reboot' })]);
  const listed = await bench.json<ScheduleListResult>('schedule list');
  documents['schedule-list'].parse(listed);
  assert.deepEqual(
    listed.schedules.map(({ id, next, last }) => [id, next.length, last.length]),
    [
      ['nightly', 1, 1],
      ['off', 0, 0],
      ['boot', 0, 0],
    ],
  );
  const shown = documents['schedule-show'].parse(await bench.json('schedule show nightly --count 400'));
  assert.equal(shown.next.length, 400);
  const days = [...shown.last.toReversed(), ...shown.next].map((at) =>
    new Date(at).toLocaleString('sv', { timeZone: 'Europe/Berlin' }).slice(0, 16),
  );
  assert.equal(new Set(days.map((day) => day.slice(0, 10))).size, 800, 'one a day, also where clocks are changed');
  assertFailed(await bench.run('schedule show nigthly'), 10, /there is no schedule nigthly \(did you mean "nightly"/);
});

test('what is wrong with a schedule is told with its place and the nearest right name', async () => {
  const wrong: readonly [object, RegExp][] = [
    [daily('a', { timezone: 'Europe/Berlim' }), /timezone: "Europe\/Berlim" is no time zone \(did you mean/],
    [daily('a', { options: { tags: 'x' } }), /options\.tags: is not an option of type full \(did you mean "tag"\?\)/],
    [daily('a', { type: 'validate', options: { label: 'x' } }), /options\.label: is not an option of type validate/],
    [daily('a', { type: 'validate', options: { sample: '500%' } }), /options\.sample: must be a percentage/],
    [daily('a', { type: 'validate', options: { quick: true, deep: true } }), /choose one of the two levels/],
    [daily('a', { options: { jobs: 0 } }), /options\.jobs: must be a whole number/],
    [daily('a', { options: { compression: 'zstd:99' } }), /options\.compression: must be a method and level/],
    [daily('a', { options: { ifRunning: 'wait' } }), /options\.ifRunning: must be "fail"/],
    [daily('a', { options: { target: '../x' } }), /options\.target: must be the name of a target/],
    [daily('a', { options: { timeout: 6 } }), /options\.timeout: must be a time such as/],
    [daily('a', { type: 'rapport' }), /type: must be one of full, database/],
    [daily('a', { missed: 'never' }), /missed: must be one of once, skip, all/],
    [daily('a', { graceMinuets: 3 }), /graceMinuets: is not a known key \(did you mean "graceMinutes"\?\)/],
  ];
  for (const [schedule, message] of wrong) {
    configure([schedule]);
    assertFailed(await bench.run('schedule list'), 2, message);
  }
  configure([daily('a'), daily('b'), daily('a')]);
  assertFailed(await bench.run('schedule list'), 2, /schedules\.2\.id: is the id of another/);
  configure([]);
  bench.env = { ...bench.env, BACKUP_SCHEDULES: JSON.stringify([daily('a', { options: { labl: 'x' } })]) };
  assertFailed(await bench.run('schedule list'), 2, /BACKUP_SCHEDULES: .*did you mean "label"/);
});
