/** The daemon as an operator runs it: real processes, one repository, and what is in it afterwards. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusResult } from '../../src/operations/status/request.ts';
import { acquireLease } from '../../src/repository/leases/acquire.ts';
import { slotScope } from '../../src/repository/slots/names.ts';
import { openLocalStorage } from '../../src/storage/local/local.ts';
import { makeBench, type Bench, type RunningCommand } from '../helpers/cli/command-run.ts';
import { HeldDump, inForceSince, recordsOf, workerOf } from '../helpers/cli/daemon.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';

let bench: Bench;
let server: TestPostgres;
/** A backup that stands still has begun, and is not done. */
let dump: HeldDump;

const configFile = (): string => join(bench.folder, 'lifeboat.config.json');
const configure = (schedules: readonly object[], more: object = {}): void =>
  writeFileSync(configFile(), JSON.stringify({ schedules, ...more }));
/** Due every hour. */
const hourly = (id: string, more: object = {}): object => ({
  id,
  type: 'database',
  cronExpression: '0 * * * *',
  ...more,
});

/** Configures schedules whose moments of the last three hours wait for a run. */
async function configureDue(schedules: readonly { readonly id?: string }[], more: object = {}): Promise<void> {
  configure(schedules, more);
  for (const { id = '' } of schedules) await inForceSince(bench, id, 3);
}

/** Ends it as an operator would; what it logged. */
async function stop(daemon: RunningCommand): Promise<Record<string, string>[]> {
  daemon.kill('SIGTERM');
  const { exitCode, stdout, stderr } = await daemon.result;
  assert.deepEqual([exitCode, stdout], [0, ''], stderr);
  await bench.nothingLeft();
  return stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, string>);
}

const outcomesOf = async (id: string): Promise<unknown[]> =>
  (await recordsOf(bench, id)).map(({ outcome, attempt, code }) => [outcome, attempt, code]);

async function readyz(socketPath: string): Promise<{ status: number | undefined; text: string }> {
  const [answer] = (await once(get({ socketPath, path: '/readyz' }), 'response')) as [IncomingMessage];
  return { status: answer.statusCode, text: await text(answer) };
}

/** Ids of the schedules that are in force in the repository. */
async function inForce(): Promise<string[]> {
  const { stdout } = await bench.run('status --json');
  return (JSON.parse(stdout) as StatusResult).schedules.map(({ id }) => id);
}

before(async () => {
  server = await startPostgres();
  await server.psql(
    'postgres',
    'CREATE TABLE item AS SELECT n, repeat(md5(n::text), 20) AS name FROM generate_series(1, 4000) n',
  );
  bench = makeBench({ DATABASE_URL: server.url() });
  dump = new HeldDump(bench.folder, server.binDir);
  bench.env = { ...bench.env, BACKUP_POSTGRES_BIN: dump.binDir };
  await bench.json('init');
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await server?.stop();
});

test('what is due runs once, what was missed is caught up with, and SIGTERM ends it in good order', async () => {
  await configureDue([hourly('first'), hourly('second', { type: 'cleanup' })]);
  const daemon = await bench.start('daemon');
  await daemon.said(/"component":"first","message":"done: the slot of .* stands for 2 before it/);
  await daemon.said(/"component":"second","message":"done: /);
  await stop(daemon);
  assert.equal((await bench.ids()).length, 1);
  for (const id of ['first', 'second']) {
    const records = await recordsOf(bench, id);
    assert.deepEqual(
      records.map(({ outcome, attempt, covers }) => [outcome, attempt, covers]),
      [['done', 1, 2]],
    );
  }
});

test('killed with -9 in mid-backup: its job ends in good order, and the restarted daemon runs the slot', async () => {
  dump.hold();
  await configureDue([hourly('killed')]);
  const daemon = await bench.start('daemon');
  const held = await dump.held();
  const worker = workerOf(bench, 'killed');
  daemon.kill('SIGKILL');
  await daemon.result;
  process.kill(held, 'SIGCONT');
  await worker.gone();
  assert.deepEqual(await outcomesOf('killed'), [['aborted', 1, 'aborted']]);
  await bench.nothingLeft();
  const before = await bench.ids();
  const again = await bench.start('daemon');
  await again.said(/"component":"killed","message":"done: /);
  await stop(again);
  assert.deepEqual(
    (await outcomesOf('killed')).toSorted((a, b) => String(a).localeCompare(String(b))),
    [
      ['aborted', 1, 'aborted'],
      ['done', 1, undefined],
    ],
  );
  assert.equal((await bench.ids()).length, before.length + 1);
});

test('two daemons run a slot once; the other takes over when one is killed with its job; status tells', async () => {
  dump.hold();
  await configureDue([hourly('shared', { graceMinutes: 1 }), hourly('calm', { type: 'cleanup' })]);
  const one = await bench.start('daemon');
  const held = await dump.held();
  const two = await bench.start('daemon', { env: { BACKUP_STATE_DIR: join(bench.folder, 'state-two') } });
  await two.said(/"component":"shared","message":"another host is at it: .*looks again in 15\.0 s/);
  while ((await outcomesOf('calm')).length === 0) await sleep(100);
  const worker = workerOf(bench, 'shared');
  one.kill('SIGKILL');
  worker.kill();
  await one.result;
  process.kill(held, 'SIGKILL');
  const { reasons } = await bench.json<StatusResult>('status', { exitCode: 19 });
  assert.ok(
    reasons.some(({ id, message }) => id.startsWith('slot:main/shared:') && /never ran at/.test(message)),
    JSON.stringify(reasons),
  );
  await two.said(/"component":"shared","message":"done: /);
  two.kill('SIGTERM');
  await two.result;
  assert.deepEqual(await outcomesOf('shared'), [['done', 1, undefined]]);
  assert.deepEqual(await outcomesOf('calm'), [['done', 1, undefined]]);
  const after = await bench.json<StatusResult>('status', { exitCode: 3 });
  assert.deepEqual(
    after.reasons.filter(({ id }) => id.startsWith('slot:')),
    [],
  );
  await bench.backup();
});

test('SIGTERM: after the grace time what runs ends as by Ctrl-C, and leaves nothing', async () => {
  dump.hold();
  await configureDue([hourly('long')]);
  const daemon = await bench.start('daemon --grace 1s');
  await dump.held();
  const before = bench.recorded();
  daemon.kill('SIGTERM');
  await daemon.said(/stopping: long may go on for 1\.0 s/);
  const { exitCode, stderr } = await daemon.result;
  assert.equal(exitCode, 0, stderr);
  assert.match(stderr, /"component":"long","message":"aborted: the slot of/);
  assert.deepEqual(await outcomesOf('long'), [['aborted', 1, 'aborted']]);
  assert.deepEqual(bench.recorded(), before);
  await bench.nothingLeft();
});

test('SIGHUP: a configuration that does not parse keeps the old one, for jobs too; a good one is taken', async () => {
  await configureDue([hourly('kept')]);
  const lease = await acquireLease(openLocalStorage(bench.repository), {
    scope: slotScope({ target: 'main', id: 'kept' }),
    command: 'test',
  });
  const socketPath = join(bench.folder, 'daemon.sock');
  const daemon = await bench.start(['daemon', '--listen', socketPath]);
  await daemon.said(/"component":"kept","message":"another host is at it/);
  while ((await readyz(socketPath)).status !== 200) await sleep(100);
  const good = readFileSync(configFile(), 'utf8');
  writeFileSync(configFile(), good.replace('"database"', '"databas"'));
  daemon.kill('SIGHUP');
  await daemon.said(/"level":"warn","message":"the configuration stays as it was: .*schedules\.0\.type/);
  assert.match((await readyz(socketPath)).text, /the configuration that was to be read last is wrong/);
  await lease[Symbol.asyncDispose]();
  await daemon.said(/"component":"kept","message":"done: /);
  await configureDue([hourly('kept'), hourly('added', { type: 'cleanup' })]);
  daemon.kill('SIGHUP');
  await daemon.said(/"message":"runs the schedules kept, added"/);
  await daemon.said(/"component":"added","message":"done: /);
  configure([hourly('kept')]);
  daemon.kill('SIGHUP');
  while ((await inForce()).includes('added')) await sleep(200);
  await stop(daemon);
  assert.deepEqual(await outcomesOf('kept'), [['done', 1, undefined]]);
});

test('hung and dead jobs are ended and recorded, and are to be tried again', async () => {
  dump.hold();
  await configureDue([hourly('silent'), hourly('stuck'), hourly('dead')], {
    hangTimeoutSeconds: 8,
    maxConcurrentBackups: 1,
  });
  const daemon = await bench.start('daemon');
  // Nothing comes from the server.
  await dump.held();
  const again = (id: string, why: string): RegExp =>
    new RegExp(`"component":"${id}","message":"is to be tried again: ${why}.*looks again in (1 min 00|5\\d\\.\\d) s`);
  const [first, second] = ['silent', 'stuck'];
  await daemon.said(again(first, 'hung: pg_dump wrote nothing for 8 s'));
  // The whole process stands still.
  await daemon.said(/"component":"stuck","message":"begins the slot/);
  const stuck = workerOf(bench, second);
  stuck.stop();
  await daemon.said(/"component":"stuck","message":"hung: its process told nothing for \d+ s"/);
  await daemon.said(/"component":"stuck","message":"is to be tried again/);
  await daemon.said(/"component":"dead","message":"begins the slot/);
  workerOf(bench, 'dead').kill();
  await daemon.said(/"component":"dead","message":"is to be tried again/);
  // What was killed leaves leases, which the next attempt takes away.
  daemon.kill('SIGTERM');
  assert.equal((await daemon.result).exitCode, 0);
  assert.deepEqual(await outcomesOf('silent'), [['hung', 1, 'source']]);
  assert.deepEqual(await outcomesOf('stuck'), [['hung', 1, 'crash']]);
  assert.deepEqual(await outcomesOf('dead'), [['failed', 1, 'crash']]);
});
