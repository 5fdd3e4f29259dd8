/**
 * Weeks or a year of two daemons on two hosts under a clock of the test's own: a daemon's agenda says when to look, and
 * its worker is a process of its own that really makes backups in one real repository. What goes wrong is drawn from a
 * seed: daemons are killed with what they run, the storage is away for an hour, clocks are set back for days.
 */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Schedule } from '../../../src/config/config.ts';
import { loadConfig, type LoadedConfig } from '../../../src/config/load.ts';
import { Agenda } from '../../../src/operations/daemon/agenda.ts';
import type { Now } from '../../../src/operations/daemon/clock.ts';
import type { WorkerEnd, WorkerTask } from '../../../src/operations/daemon/messages.ts';
import { dueMoments } from '../../../src/operations/due-slots.ts';
import { withRepository } from '../../../src/operations/open-repository.ts';
import { init } from '../../../src/operations/setup/init.ts';
import { slotsOfBackup } from '../../../src/repository/slots/records.ts';
import { randomFrom } from '../concurrency/random.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const context = { signal: new AbortController().signal, emit: () => {} };

export interface SimulatedDaemons {
  readonly cronExpression: string;
  readonly timezone: string;
  /** RFC 3339. */
  readonly from: string;
  readonly to: string;
  readonly seed: number;
  /** How often a look at a schedule is killed; the other troubles come half as often. */
  readonly troubles: number;
}

export interface DaemonsOutcome {
  /** By due moment (RFC 3339), those that were due included: how many backups name it. */
  readonly backups: ReadonlyMap<string, number>;
  readonly kills: number;
  readonly outages: number;
  readonly setBack: number;
}

/** What became of each moment between `from` and a day before `to`; on that day nothing goes wrong any more. */
export async function simulateDaemons(asked: SimulatedDaemons): Promise<DaemonsOutcome> {
  const base = mkdtempSync(join(tmpdir(), 'daemons-'));
  const world = new World(base, asked);
  try {
    await world.begin();
    await world.run();
    return await world.outcome();
  } finally {
    await world.end();
    rmSync(base, { recursive: true, maxRetries: 5 });
  }
}

class World {
  readonly #base: string;
  readonly #asked: SimulatedDaemons;
  readonly #random: () => number;
  readonly #hosts: Host[] = [];
  readonly #endMs: number;
  #nowMs: number;
  #awayUntilMs: number | undefined;
  #kills = 0;
  #outages = 0;
  #setBack = 0;

  constructor(base: string, asked: SimulatedDaemons) {
    this.#base = base;
    this.#asked = asked;
    this.#random = randomFrom(asked.seed);
    this.#nowMs = Date.parse(asked.from);
    this.#endMs = Date.parse(asked.to);
  }

  async begin(): Promise<void> {
    mkdirSync(join(this.#base, 'files'));
    writeFileSync(join(this.#base, 'files/one'), 'content');
    for (const name of ['one', 'two']) this.#hosts.push(await Host.begin(this.#base, name, this.#asked, this.#nowMs));
  }

  /** From one moment at which somebody has something to do to the next. */
  async run(): Promise<void> {
    while (this.#nowMs < this.#endMs) {
      const isCalm = this.#nowMs > this.#endMs - dayMs;
      if (this.#awayUntilMs !== undefined && (this.#awayUntilMs <= this.#nowMs || isCalm)) this.#bringBack();
      if (!isCalm) this.#meddle();
      const first = this.#random() < 0.5 ? 0 : 1;
      const [one, two] = [this.#hosts[first], this.#hosts[1 - first]];
      assert.ok(one !== undefined && two !== undefined);
      const isTogether = this.#random() < 0.5;
      let second: Promise<void> | undefined;
      const goOn = (): unknown => (second ??= this.#turn(two, isCalm));
      await this.#turn(one, isCalm, isTogether ? goOn : undefined);
      await (second ?? this.#turn(two, isCalm));
      const waitMs = Math.min(...this.#hosts.map((host) => host.waitMs(this.#nowMs)));
      this.#nowMs += Math.max(1000, waitMs);
    }
  }

  async outcome(): Promise<DaemonsOutcome> {
    const { from, cronExpression, timezone } = this.#asked;
    const backups = new Map<string, number>();
    for (let atMs = Date.parse(from); atMs < this.#endMs - dayMs; atMs += dayMs) {
      for (const dueMs of dueMoments({ cronExpression, timezone }, atMs, Math.min(atMs + dayMs, this.#endMs - dayMs))) {
        backups.set(new Date(dueMs).toISOString(), 0);
      }
    }
    const [host] = this.#hosts;
    assert.ok(host !== undefined);
    await withRepository(host.loaded, context, async (repository) => {
      for await (const listed of repository.listManifests()) {
        for (const { dueMs } of await slotsOfBackup(repository, listed)) {
          const due = new Date(dueMs).toISOString();
          if (dueMs <= this.#endMs - dayMs) backups.set(due, (backups.get(due) ?? 0) + 1);
        }
      }
    });
    return { backups, kills: this.#kills, outages: this.#outages, setBack: this.#setBack };
  }

  async end(): Promise<void> {
    for (const host of this.#hosts) await host.kill();
  }

  /** `onBegun`: once it has the lease of a slot. */
  async #turn(host: Host, isCalm: boolean, onBegun: () => unknown = () => {}): Promise<void> {
    for (const schedule of host.agenda.due(host.now(this.#nowMs))) {
      const killAfterMs = !isCalm && this.#random() < this.#asked.troubles ? this.#random() * 300 : undefined;
      if (await host.look(schedule, this.#nowMs, { killAfterMs, onBegun })) continue;
      this.#kills++;
      await host.restart(this.#nowMs, this.#awayUntilMs === undefined);
    }
  }

  #meddle(): void {
    const folder = join(this.#base, 'repository');
    if (this.#awayUntilMs === undefined && this.#random() < this.#asked.troubles / 2) {
      renameSync(folder, `${folder}.away`);
      this.#awayUntilMs = this.#nowMs + hourMs;
      this.#outages++;
    }
    for (const host of this.#hosts) {
      if (this.#random() > this.#asked.troubles / 2) continue;
      host.setBackMs = host.setBackMs === 0 ? hourMs : 0;
      this.#setBack++;
    }
  }

  #bringBack(): void {
    this.#awayUntilMs = undefined;
    const folder = join(this.#base, 'repository');
    renameSync(`${folder}.away`, folder);
  }
}

interface Looking {
  /** Undefined: it is not killed. */
  readonly killAfterMs: number | undefined;
  readonly onBegun: () => unknown;
}

/** One host with its daemon. */
class Host {
  readonly loaded: LoadedConfig;
  readonly #document: object;
  readonly #base: string;
  agenda = new Agenda();
  setBackMs = 0;
  #child: ChildProcess;

  private constructor(loaded: LoadedConfig, document: object, base: string, child: ChildProcess) {
    this.loaded = loaded;
    this.#document = document;
    this.#base = base;
    this.#child = child;
  }

  static async begin(base: string, name: string, asked: SimulatedDaemons, nowMs: number): Promise<Host> {
    const { cronExpression, timezone } = asked;
    const document = {
      repository: `file://${join(base, 'repository')}`,
      encryption: { key: 'ab'.repeat(32) },
      stateDir: join(base, name),
      targets: { main: { files: { paths: [join(base, 'files')] } } },
      schedules: [{ id: 'clock', type: 'files', missed: 'all', attempts: 10, cronExpression, timezone }],
    };
    const loaded = await loadConfig({ cwd: base, env: {}, document });
    await init(loaded, { configPath: undefined, keyFile: undefined, npmScriptsIn: undefined }, context);
    const host = new Host(loaded, document, base, await startChild());
    await host.#publish(nowMs);
    return host;
  }

  now(nowMs: number): Now {
    return { wallMs: nowMs - this.setBackMs, steadyMs: nowMs };
  }

  waitMs(nowMs: number): number {
    return this.agenda.waitMs(this.now(nowMs), dayMs);
  }

  /** As a daemon does: it looks, and has what is due run. False: it was killed with what it ran. */
  async look({ id }: Schedule, nowMs: number, { killAfterMs, onBegun }: Looking): Promise<boolean> {
    const now = this.now(nowMs);
    this.agenda.begin(id, now);
    const timer = killAfterMs === undefined ? undefined : setTimeout(() => this.#child.kill('SIGKILL'), killAfterMs);
    const end = await this.#work({ kind: 'job', schedule: id }, now.wallMs, onBegun);
    clearTimeout(timer);
    if (this.#child.killed || end === undefined) return false;
    this.agenda.end(id, end, now);
    return true;
  }

  async restart(nowMs: number, isThere: boolean): Promise<void> {
    await this.kill();
    this.#child = await startChild();
    this.agenda = new Agenda();
    this.agenda.set(this.loaded.config.schedules);
    if (isThere) await this.#publish(nowMs);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
  }

  /** What a daemon does first. */
  async #publish(nowMs: number): Promise<void> {
    this.agenda.set(this.loaded.config.schedules);
    const end = await this.#work({ kind: 'survey', gone: [] }, this.now(nowMs).wallMs);
    assert.equal(end?.outcome, 'settled', end?.message);
  }

  /** Undefined: it died. */
  async #work(task: WorkerTask, wallMs: number, onBegun: () => unknown = () => {}): Promise<WorkerEnd | undefined> {
    const child = this.#child;
    const { promise, resolve } = Promise.withResolvers<WorkerEnd | undefined>();
    const hear = (message: unknown): void => {
      const { type } = message as { type: string };
      if (type === 'begun') onBegun();
      if (type === 'end') resolve(message as WorkerEnd);
    };
    const die = (): void => resolve(undefined);
    child.on('message', hear).on('exit', die);
    child.send({ task, wallMs, document: this.#document, cwd: this.#base });
    try {
      return await promise;
    } finally {
      child.off('message', hear).off('exit', die);
    }
  }
}

async function startChild(): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'schedule-daemon-child.ts'), { stdio: 'inherit' });
  await once(child, 'message');
  return child;
}
