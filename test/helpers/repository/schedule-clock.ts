/**
 * Weeks of a schedule under a clock of the test's own: two hosts, each called by its cron at every moment, in
 * one real repository. What the schedule stands for only notes its slot; what goes wrong is drawn from a seed.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, type LoadedConfig } from '../../../src/config/load.ts';
import { AbortedError } from '../../../src/lib/errors.ts';
import { dueMoments } from '../../../src/operations/due-slots.ts';
import { chooseSchedule } from '../../../src/operations/schedule/choose.ts';
import type { PreparedRun } from '../../../src/operations/schedule/prepare.ts';
import { runDueSlots } from '../../../src/operations/schedule/slot.ts';
import { init } from '../../../src/operations/setup/init.ts';
import { randomFrom } from '../concurrency/random.ts';

const context = { signal: new AbortController().signal, emit: () => {} };
const schedule = { id: 'clock', type: 'integrity', missed: 'all', attempts: 10, graceMinutes: 1 };

export interface Simulated {
  readonly cronExpression: string;
  readonly timezone: string;
  /** RFC 3339. */
  readonly from: string;
  readonly to: string;
  readonly seed: number;
}

/**
 * Returns by due moment (RFC 3339) how often a run came to its end, every moment that was due included. Of ten calls
 * one is interrupted and one finds no repository; now and then the clock of a host is an hour behind.
 */
export async function simulate({ seed, ...when }: Simulated): Promise<Map<string, number>> {
  const base = mkdtempSync(join(tmpdir(), 'clock-'));
  try {
    const hosts = [await host(base, 'one', when), await host(base, 'two', when)];
    const random = randomFrom(seed);
    const ended = new Map<string, number>();
    const [fromMs, toMs] = [Date.parse(when.from), Date.parse(when.to)];
    for (const each of hosts) await call(each, fromMs, ended, () => false);
    const moments = momentsOf(when, fromMs, toMs);
    for (const [index, dueMs] of moments.entries()) {
      ended.set(utc(dueMs), ended.get(utc(dueMs)) ?? 0);
      for (const each of index % 2 === 0 ? hosts : hosts.toReversed()) {
        const isBehind = each === hosts[1] && index % 50 < 3;
        const isLast = index === moments.length - 1;
        const isAway = !isLast && random() < 0.1;
        const work = async (): Promise<void> =>
          call(each, dueMs + 2000 - (isBehind ? 3_600_000 : 0), ended, () => !isLast && random() < 0.1);
        if (isAway) await withoutRepository(base, work);
        else await work();
      }
    }
    return ended;
  } finally {
    rmSync(base, { recursive: true });
  }
}

async function host(
  base: string,
  name: string,
  when: Pick<Simulated, 'cronExpression' | 'timezone'>,
): Promise<LoadedConfig> {
  const { cronExpression, timezone } = when;
  const document = {
    repository: `file://${join(base, 'repository')}`,
    encryption: { key: 'ab'.repeat(32) },
    stateDir: join(base, name),
    schedules: [{ ...schedule, cronExpression, timezone }],
  };
  const loaded = await loadConfig({ cwd: base, env: {}, document });
  await init(loaded, { configPath: undefined, keyFile: undefined, npmScriptsIn: undefined }, context);
  return loaded;
}

/** As cron calls it. */
async function call(
  loaded: LoadedConfig,
  nowMs: number,
  ended: Map<string, number>,
  isInterrupted: () => boolean,
): Promise<void> {
  const prepared: PreparedRun = {
    need: {},
    run: async (_loaded, _context, tags = []) => {
      if (isInterrupted()) throw new AbortedError('SIGTERM');
      const [, y, mo, d, h, mi, s] = /:(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(tags[0] ?? '') ?? [];
      const due = `${y}-${mo}-${d}T${h}:${mi}:${s}.000Z`;
      ended.set(due, (ended.get(due) ?? 0) + 1);
      return { answer: {}, exitCode: 0 };
    },
  };
  const times = { now: () => nowMs, pausesMs: [0] };
  await runDueSlots(loaded, { schedule: chooseSchedule(loaded, schedule.id), prepared, times }, context).catch(
    (error: unknown) => {
      if (!(error instanceof AbortedError)) throw error;
    },
  );
}

async function withoutRepository(base: string, work: () => Promise<void>): Promise<void> {
  const file = join(base, 'repository/repository.json');
  renameSync(file, `${file}.away`);
  await assert.rejects(work(), { code: 'not_found' });
  renameSync(`${file}.away`, file);
}

function momentsOf(when: Pick<Simulated, 'cronExpression' | 'timezone'>, fromMs: number, toMs: number): number[] {
  const all: number[] = [];
  const dayMs = 86_400_000;
  for (let atMs = fromMs; atMs < toMs; atMs += dayMs) all.push(...dueMoments(when, atMs, Math.min(atMs + dayMs, toMs)));
  return all;
}

function utc(ms: number): string {
  return new Date(ms).toISOString();
}
