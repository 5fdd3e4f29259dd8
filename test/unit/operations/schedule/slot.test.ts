/**
 * Slots in a real repository: at most once over hosts, crashes and clocks, and nothing that was planted counts. What a
 * schedule stands for is counted here, or is a real backup; the clock is the test's own.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig, type LoadedConfig } from '../../../../src/config/load.ts';
import { AbortedError, LifeboatError } from '../../../../src/lib/errors.ts';
import { withRepository } from '../../../../src/operations/open-repository.ts';
import { chooseSchedule } from '../../../../src/operations/schedule/choose.ts';
import { prepareRun, type PreparedRun } from '../../../../src/operations/schedule/prepare.ts';
import type { RanSlots, SchedulePublishResult } from '../../../../src/operations/schedule/request.ts';
import { runDueSlots } from '../../../../src/operations/schedule/slot.ts';
import { scheduleShowOperation } from '../../../../src/operations/schedule/show.ts';
import { schedulePublishOperation } from '../../../../src/operations/schedule/publish.ts';
import { status } from '../../../../src/operations/status/status.ts';
import { init } from '../../../../src/operations/setup/init.ts';
import { slotNames } from '../../../../src/repository/slots/documents.ts';
import { messageOfSlot, openSlots, type ReadSlot } from '../../../../src/repository/slots/records.ts';
import { pruneSlots } from '../../../../src/repository/slots/prune.ts';

const base = mkdtempSync(join(tmpdir(), 'slot-'));
const context = { signal: new AbortController().signal, emit: () => {} };
const noon = Date.parse('2026-03-01T12:00:00Z');
const hourMs = 3_600_000;
const hourly = { id: 'hourly', type: 'files', cronExpression: '0 * * * *', timezone: 'UTC', graceMinutes: 1 };
const of = { target: 'main', id: 'hourly' };

before(() => {
  mkdirSync(join(base, 'files'));
  writeFileSync(join(base, 'files', 'one'), 'content');
});
after(() => rmSync(base, { recursive: true }));

/** A host with a state folder of its own, on the repository of that name. */
async function host(
  repository: string,
  state: string,
  more: object = {},
  encryption: object = {},
): Promise<LoadedConfig> {
  const loaded = await loadConfig({
    cwd: base,
    env: {},
    document: {
      repository: `file://${join(base, repository)}`,
      encryption: { key: 'ab'.repeat(32), ...encryption },
      stateDir: join(base, state),
      targets: { main: { files: { paths: [join(base, 'files')] } } },
      schedules: [{ ...hourly, ...more }],
    },
  });
  await init(loaded, { configPath: undefined, keyFile: undefined, npmScriptsIn: undefined }, context);
  return loaded;
}

/** What the schedule stands for: counted, or failing. */
function counting(fail: (run: number) => Error | undefined = () => undefined): PreparedRun & { count: number } {
  const prepared = {
    count: 0,
    need: {},
    run: async () => {
      prepared.count++;
      const error = fail(prepared.count);
      if (error !== undefined) throw error;
      return { answer: {}, exitCode: 0 };
    },
  };
  return prepared;
}

async function run(loaded: LoadedConfig, prepared: PreparedRun, nowMs: number): Promise<RanSlots> {
  const times = { now: () => nowMs, pausesMs: [0] };
  return runDueSlots(loaded, { schedule: chooseSchedule(loaded, 'hourly'), prepared, times }, context);
}

async function recorded(loaded: LoadedConfig): Promise<ReadSlot[]> {
  return withRepository(loaded, context, async (repository) => {
    const names = await slotNames(repository, of);
    return openSlots(
      repository,
      of,
      names.filter(({ kind }) => kind === 'record'),
    );
  });
}

test('a slot runs once, whichever host comes; its record says who, when and what', async () => {
  const [one, two] = [await host('once', 'state-1'), await host('once', 'state-2')];
  const work = counting();
  assert.equal((await run(one, work, noon - 1)).outcome, 'nothing-due', 'published now: earlier moments do not count');
  const ran = await run(one, work, noon);
  assert.deepEqual([ran.outcome, ran.slots.map(({ due }) => due)], ['done', ['2026-03-01T12:00:00.000Z']]);
  assert.equal((await run(two, work, noon + 1000)).outcome, 'nothing-due');
  assert.equal((await run(one, work, noon - hourMs)).outcome, 'nothing-due', 'a clock that was set back');
  assert.equal(work.count, 1);
  const [record, ...others] = await recorded(two);
  assert.deepEqual(others, []);
  assert.deepEqual(
    [record?.outcome, record?.attempt, record?.due, record?.exitCode, record?.covers],
    ['done', 1, '2026-03-01T12:00:00.000Z', 0, undefined],
  );
  const late = await run(two, work, noon + 3 * hourMs + 5000);
  assert.deepEqual(
    late.slots.map(({ due, covers }) => [due, covers]),
    [['2026-03-01T15:00:00.000Z', 2]],
  );
});

test('the very first call is by the moment that is to be run', async () => {
  const loaded = await host('first', 'state-0');
  const work = counting();
  assert.equal((await run(loaded, work, noon + 2000)).outcome, 'done');
  assert.equal((await run(loaded, work, noon + 3000)).outcome, 'nothing-due');
  assert.equal(work.count, 1);
});

test('of two that come at once one runs it', async () => {
  const [one, two] = [await host('twice', 'state-3'), await host('twice', 'state-4')];
  const work = counting();
  await run(one, work, noon - 1);
  const outcomes = (await Promise.all([run(one, work, noon), run(two, work, noon)])).map(({ outcome }) => outcome);
  assert.equal(work.count, 1);
  assert.ok(outcomes.includes('done'), outcomes.join());
});

test('failed attempts are repeated, recorded, and end; what they said is sealed', async () => {
  const loaded = await host('failing', 'state-5', { attempts: 2 });
  await run(loaded, counting(), noon - 1);
  const away = new LifeboatError('source', 'the server of customers_table is away', { retryable: true });
  const work = counting(() => away);
  await assert.rejects(run(loaded, work, noon), away);
  assert.equal((await run(loaded, work, noon + 1000)).outcome, 'nothing-due');
  assert.equal(work.count, 2);
  const records = await recorded(loaded);
  assert.deepEqual(
    records.map(({ outcome, code, exitCode }) => [outcome, code, exitCode]),
    [
      ['failed', 'source', 13],
      ['failed', 'source', 13],
    ],
  );
  const [first] = records;
  assert.ok(first !== undefined);
  assert.equal(readFileSync(join(base, 'failing', first.object), 'utf8').includes('customers_table'), false);
  const said = await withRepository(loaded, context, async (repository) => messageOfSlot(repository, first));
  assert.equal(said, away.message);
  // Not everything is worth another attempt, and an interruption is none.
  await assert.rejects(
    run(
      loaded,
      counting(() => new LifeboatError('usage', 'wrong')),
      noon + hourMs,
    ),
    { code: 'usage' },
  );
  await assert.rejects(
    run(
      loaded,
      counting(() => new AbortedError('SIGTERM')),
      noon + hourMs,
    ),
    { exitCode: 143 },
  );
  const again = await run(loaded, counting(), noon + hourMs);
  assert.deepEqual(
    again.slots.map(({ attempt, outcome }) => [attempt, outcome]),
    [[2, 'done']],
  );
});

test('with missed "all" none overtakes one before it that is to be tried again, and all are done', async () => {
  const loaded = await host('in-order', 'state-19', { missed: 'all', attempts: 3 });
  await run(loaded, counting(), noon - 1);
  const away = new LifeboatError('source', 'the server is away', { retryable: true });
  const watched = async (prepared: PreparedRun, nowMs: number, pauseMs = 0): Promise<string[]> => {
    const ended: string[] = [];
    const watch = {
      begun: () => {},
      ended: ({ due, outcome }: { due: string; outcome: string }) => ended.push(`${due.slice(11, 16)} ${outcome}`),
      again: () => {},
    };
    const times = { now: () => nowMs, pausesMs: [pauseMs] };
    const schedule = chooseSchedule(loaded, 'hourly');
    await runDueSlots(loaded, { schedule, prepared, times, watch }, context).catch(() => {});
    return ended;
  };
  const failing = counting((count) => (count === 1 ? away : undefined));
  assert.deepEqual(await watched(failing, noon + hourMs), ['12:00 failed']);
  assert.deepEqual(await watched(failing, noon + hourMs + 1000, hourMs), [], 'its pause is not over');
  const interrupted = counting(() => new AbortedError('SIGTERM'));
  assert.deepEqual(await watched(interrupted, noon + hourMs + 2000), ['12:00 aborted']);
  assert.deepEqual(await watched(failing, noon + hourMs + 3000), ['12:00 done', '13:00 done']);
});

test('a backup names its slot: without its record nothing is done twice', async () => {
  const loaded = await host('crash', 'state-6');
  const prepared = await prepareRun(chooseSchedule(loaded, 'hourly'));
  const nowMs = Date.now();
  await run(loaded, prepared, Math.floor(nowMs / hourMs) * hourMs - 1.5 * hourMs);
  const ran = await run(loaded, prepared, nowMs);
  assert.match(ran.slots[0]?.backupId ?? '', /-main-files-/);
  const folder = join(base, 'crash/schedules/main/hourly');
  for (const name of readdirSync(folder)) if (!name.startsWith('plan-')) rmSync(join(folder, name));
  assert.equal((await run(loaded, prepared, nowMs)).outcome, 'nothing-due');
  assert.equal(readdirSync(join(base, 'crash/manifests')).length, 1);
});

test('what somebody planted suppresses nothing', async () => {
  const loaded = await host('planted', 'state-7');
  await host('foreign', 'state-8', {}, { key: 'cd'.repeat(32) });
  const work = counting();
  await run(loaded, work, noon - 1);
  await run(loaded, work, noon);
  const folder = join(base, 'planted/schedules/main/hourly');
  const [own] = readdirSync(folder).filter((name) => !name.startsWith('plan-'));
  const text = readFileSync(join(folder, own ?? ''), 'utf8');
  const next = '20260301T130000Z';
  // A copy of a true one under the name of the next slot; one whose words were changed; junk; one that is too large.
  copyFileSync(join(folder, own ?? ''), join(folder, `${next}-0000.json`));
  const changed = text.replaceAll('12:00:00', '13:00:00').replaceAll('20260301T120000Z', next);
  writeFileSync(join(folder, `${next}-0001.json`), changed);
  writeFileSync(join(folder, `${next}-0002.json`), '{"outcome": "done"}');
  writeFileSync(join(folder, `${next}-0003.json`), 'x'.repeat(100_000));
  for (let n = 1000; n < 1300; n++) writeFileSync(join(folder, `20270101T000000Z-${n}.json`), text);
  assert.equal((await run(loaded, work, noon + hourMs)).outcome, 'done');
  assert.equal(work.count, 2);
  assert.equal((await run(loaded, work, noon + hourMs)).outcome, 'nothing-due');
});

test('without encryption only this host and listed writers settle a slot', async () => {
  const open = { enabled: false, key: undefined };
  const one = await host('open', 'state-9', {}, open);
  const other = await host('open', 'state-10', {}, open);
  const [work, theirs] = [counting(), counting()];
  await run(one, work, noon - 1);
  await run(one, work, noon);
  await run(other, theirs, noon - 1);
  assert.equal((await run(other, theirs, noon)).outcome, 'done', 'who signed it is nobody to it');
  const signer = await withRepository(one, context, async (repository) => (await repository.signer()).publicKey);
  const trusting = await host('open', 'state-11', {}, { ...open, trustedKeys: [signer.toString('base64')] });
  assert.equal((await run(trusting, theirs, noon)).outcome, 'nothing-due');
  assert.equal(theirs.count, 1);
});

test('missed moments that are to be skipped are recorded as that', async () => {
  const loaded = await host('skips', 'state-12', { missed: 'skip', graceMinutes: 5 });
  const work = counting();
  await run(loaded, work, noon - 1);
  const late = await run(loaded, work, noon + hourMs + 6 * 60_000);
  assert.equal(late.outcome, 'skipped');
  assert.equal((await run(loaded, work, noon + 2 * hourMs)).outcome, 'done');
  const outcomes = (await recorded(loaded)).map(({ due, outcome }) => `${due.slice(11, 16)} ${outcome}`);
  assert.deepEqual([outcomes, work.count], [['12:00 skipped', '13:00 skipped', '14:00 done'], 1]);
});

test('from any host status tells which slot never ran, until it has, or is not to run any more', async () => {
  const loaded = await host('watched', 'state-15');
  const far = await host('watched', 'state-16', { id: 'other', enabled: false });
  const reasons = async (): Promise<string[]> => {
    const { reasons: all, schedules } = await status(far, { days: 30 }, context);
    assert.deepEqual(
      schedules.map(({ id }) => id),
      ['hourly'],
    );
    return all.filter(({ id }) => id.startsWith('slot:')).map(({ weight, message }) => `${weight}: ${message}`);
  };
  const hour = Math.floor(Date.now() / hourMs) * hourMs;
  await run(loaded, counting(), hour - 2.5 * hourMs);
  const [missed, ...others] = await reasons();
  assert.match(
    missed ?? '',
    /^unhealthy: schedule "hourly" \(files of main, of .*\) never ran at .*, nor did \d moment/,
  );
  assert.deepEqual(others, []);
  await run(loaded, counting(), Date.now());
  assert.deepEqual(await reasons(), []);
  const publish = async (as: LoadedConfig, withdraw?: string): Promise<SchedulePublishResult> =>
    schedulePublishOperation.run(as, { withdraw }, context);
  // The same host, which has this schedule no more.
  assert.deepEqual((await publish(far)).withdrawn, ['hourly of main']);
  assert.deepEqual((await status(far, { days: 30 }, context)).schedules, []);
  assert.deepEqual((await publish(loaded)).published, ['hourly of main']);
  await assert.rejects(publish(loaded, 'nigthly'), { code: 'not_found', hint: /hourly of main/ });
});

test('a run that is within its grace time stands for the moments before it that were missed', async () => {
  const loaded = await host('caught-up', 'state-18', { graceMinutes: 90 });
  const isMissed = async (): Promise<boolean> =>
    (await status(loaded, { days: 30 }, context)).reasons.some(({ id }) => id.startsWith('slot:'));
  await run(loaded, counting(), Math.floor(Date.now() / hourMs) * hourMs - 4.5 * hourMs);
  assert.equal(await isMissed(), true);
  assert.equal((await run(loaded, counting(), Date.now())).slots[0]?.covers, 4);
  assert.equal(await isMissed(), false);
});

test('one that is switched off does not run, and is in force no more', async () => {
  const loaded = await host('off', 'state-17');
  const work = counting();
  await run(loaded, work, noon);
  const off = await host('off', 'state-17', { enabled: false });
  assert.equal((await run(off, work, noon + hourMs)).reason, 'it is switched off');
  assert.equal(work.count, 1);
  assert.deepEqual((await status(off, { days: 30 }, context)).schedules, []);
});

test('ids that are no part of a name, and schedules without a clock, have no slots', async () => {
  const loaded = await host('names', 'state-13');
  const schedule = chooseSchedule(loaded, 'hourly');
  for (const wrong of [{ id: '../x' }, { id: 'Every Night' }, { cronExpression: '@reboot' }]) {
    const times = { now: () => noon, pausesMs: [0] };
    await assert.rejects(
      runDueSlots(loaded, { schedule: { ...schedule, ...wrong }, prepared: counting(), times }, context),
      { code: 'usage' },
    );
  }
});

test('the newest records of a schedule are kept, and what does not count is neither counted nor removed', async () => {
  const loaded = await host('many', 'state-14', { missed: 'skip' });
  await run(loaded, counting(), noon - 1);
  await run(loaded, counting(), noon + 30 * hourMs + 61 * 60_000);
  const before = await recorded(loaded);
  const folder = join(base, 'many/schedules/main/hourly');
  writeFileSync(join(folder, '20200101T000000Z-0000.json'), 'junk');
  const gone = await withRepository(loaded, context, async (repository) => [
    await pruneSlots(repository),
    await pruneSlots(repository, { kept: 20, slack: 2 }),
  ]);
  assert.deepEqual(
    gone.map(({ length }) => length),
    [0, before.length - 20],
  );
  assert.deepEqual(
    (await recorded(loaded)).map(({ object }) => object),
    before.slice(-20).map(({ object }) => object),
  );
  assert.ok(readdirSync(folder).includes('20200101T000000Z-0000.json'));
});

test('show tells what became of each moment, and without the key the moments only', async () => {
  const loaded = await host('shown', 'state-shown', { attempts: 1 });
  const nowMs = Math.floor(Date.now() / hourMs) * hourMs + 1000;
  await run(loaded, counting(), nowMs - 6 * hourMs);
  const prepared = await prepareRun(chooseSchedule(loaded, 'hourly'));
  await run(loaded, prepared, nowMs - 5 * hourMs);
  const broken = counting(() => new LifeboatError('integrity', 'it is damaged'));
  await assert.rejects(run(loaded, broken, nowMs - 4 * hourMs));
  await run(loaded, counting(), nowMs - 2 * hourMs);
  const request = { id: 'hourly', count: 7 };
  const { slots = [], slotsUnknown } = await scheduleShowOperation.run(loaded, request, context);
  assert.equal(slotsUnknown, undefined);
  const newest = Date.now() - (nowMs - 1000) > 60_000 ? 'never' : 'waiting';
  assert.deepEqual(
    slots.map(({ outcome }) => outcome),
    [newest, 'never', 'done', 'caught-up', 'failed', 'done', 'done'],
  );
  assert.deepEqual([slots[4]?.code, slots[4]?.message], ['integrity', 'it is damaged']);
  assert.ok(slots[5]?.backupId !== undefined && slots[6]?.backupId === undefined);
  const without = await scheduleShowOperation.run(loaded, { ...request, unreadable: 'no key' }, context);
  assert.deepEqual([without.slots, without.slotsUnknown, without.last.length], [undefined, 'no key', 7]);
});
