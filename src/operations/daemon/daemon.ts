/**
 * The daemon: one process in the foreground that starts a worker where a slot is due, at most so many at a time, and
 * looks after them. It holds no secret and opens no repository itself. When what is due, the agenda says; that a slot
 * is run once over all hosts, its lease and records do.
 */
import type { Schedule } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { messageOf } from '../../lib/errors.ts';
import type { EventSink } from '../../lib/events.ts';
import { formatDuration } from '../../lib/time.ts';
import { counted } from '../../lib/units.ts';
import { channelFamilies } from '../metrics/channel-families.ts';
import type { Family } from '../metrics/family.ts';
import { Agenda } from './agenda.ts';
import { clockChange, now, type Now } from './clock.ts';
import { Crew } from './crew.ts';
import type { DaemonFacts } from './facts.ts';
import { Postman } from './postman.ts';
import type { ServiceManager } from './service-manager.ts';
import { Surveyor } from './surveyor.ts';
import type { WorkerProgram } from './worker.ts';
import type { WorkerOrder } from './messages.ts';

/** The configuration as it was read, and the texts that it was read from. */
export interface DaemonConfig {
  readonly loaded: LoadedConfig;
  readonly texts: WorkerOrder['texts'];
}

export interface DaemonRequest {
  readonly first: DaemonConfig;
  /** Reads it anew. Rejects where it does not parse. */
  readonly load: () => Promise<DaemonConfig>;
  /** As `--env-file` gave it. */
  readonly envFile: string | undefined;
  readonly program: WorkerProgram;
  /** So long may what runs go on once the daemon is to end. */
  readonly graceMs: number;
  readonly emit: EventSink;
  readonly service: ServiceManager;
}

/** However far the next moment is: the clock may be set, and the machine may sleep. */
const longestSleepMs = 30_000;

export class Daemon {
  readonly #request: DaemonRequest;
  readonly #agenda = new Agenda();
  readonly #crew: Crew;
  readonly #surveyor: Surveyor;
  readonly #postman: Postman;
  #config: DaemonConfig;
  #configReadMs = Date.now();
  #isConfigCurrent = true;
  #turned = now();
  #isStopping = false;
  #mustReload = false;
  #stops = 0;
  #wake: () => void = () => {};

  constructor(request: DaemonRequest) {
    this.#request = request;
    this.#config = request.first;
    const { program, emit } = request;
    const orderOf = this.#order.bind(this);
    const shared = { program, emit, orderOf, config: () => this.#config.loaded.config };
    this.#crew = new Crew(shared, this.#agenda);
    this.#postman = new Postman(shared);
    this.#surveyor = new Surveyor(shared, () => this.#wake());
  }

  /** Runs until `stop`, then until no worker is left. Never rejects for what a job does. */
  async run(): Promise<void> {
    const { service } = this.#request;
    this.#accept(this.#config);
    service.ready(this.#status());
    const turnMs = Math.min(longestSleepMs, (service.watchdogMs ?? Infinity) / 2);
    let before = now();
    while (!this.#isStopping) {
      await this.#reload();
      const at = now();
      this.#tellChange(before, at);
      before = at;
      this.#turn(at);
      await this.#sleep(this.#agenda.waitMs(at, turnMs));
    }
    await this.#end();
  }

  /** No new job begins. What runs gets its grace time; called again, it is told to end at once, then killed. */
  stop(): void {
    this.#isStopping = true;
    this.#stops++;
    if (this.#stops === 2) this.#crew.interrupt();
    if (this.#stops > 2) this.#crew.kill();
    this.#wake();
  }

  reload(): void {
    this.#mustReload = true;
    this.#wake();
  }

  /** For whoever asks over HTTP. */
  facts(): DaemonFacts {
    const { wallMs, steadyMs } = now();
    return {
      turnedMs: this.#turned.wallMs,
      turnedAgoMs: steadyMs - this.#turned.steadyMs,
      configReadMs: this.#configReadMs,
      isStopping: this.#isStopping,
      service: this.#config.loaded.config.metrics.service,
      survey: this.#surveyor.survey,
      schedules: this.#agenda.schedules.map(({ id, type }) => ({ id, type, nextMs: this.#agenda.nextMs(id, wallMs) })),
      jobs: this.#crew.jobs,
      ended: this.#crew.ended,
      isConfigCurrent: this.#isConfigCurrent,
    };
  }

  /** Metrics of the notification channels; likewise. */
  async channels(): Promise<Family[]> {
    return channelFamilies(this.#config.loaded.config);
  }

  #accept(config: DaemonConfig): void {
    this.#config = config;
    this.#configReadMs = Date.now();
    const { schedules } = config.loaded.config;
    for (const { id } of this.#agenda.set(schedules)) {
      this.#request.emit({ type: 'warning', component: id, message: 'is not run: no clock tells @reboot' });
    }
    const names = this.#agenda.schedules.map(({ id }) => id).join(', ');
    this.#say(names === '' ? 'no schedule is switched on: nothing will run' : `runs the schedules ${names}`);
  }

  async #reload(): Promise<void> {
    if (!this.#mustReload) return;
    this.#mustReload = false;
    this.#request.service.reloading();
    try {
      const before = this.#agenda.schedules.map(({ id }) => id);
      this.#accept(await this.#request.load());
      this.#isConfigCurrent = true;
      const kept = new Set(this.#agenda.schedules.map(({ id }) => id));
      this.#surveyor.begin(before.filter((id) => !kept.has(id)));
    } catch (error) {
      this.#isConfigCurrent = false;
      const message = `the configuration stays as it was: ${messageOf(error)}`;
      this.#request.emit({ type: 'warning', message });
    }
    this.#request.service.ready(this.#status());
  }

  #turn(at: Now): void {
    this.#beat(at);
    this.#surveyor.beginIfDue();
    this.#postman.beginIfDue();
    // Published first: the moments of a schedule that is new count from now on, not from its last moment.
    if (!this.#surveyor.isDoneOnce) return;
    const limit = this.#config.loaded.config.maxConcurrentBackups;
    for (const schedule of this.#agenda.due(at)) {
      if (this.#crew.jobs.length >= limit) break;
      this.#begin(schedule, at);
    }
    this.#request.service.status(this.#status());
  }

  #beat(at: Now): void {
    this.#turned = at;
    this.#request.service.alive();
  }

  #begin(schedule: Schedule, at: Now): void {
    this.#agenda.begin(schedule.id, at);
    void this.#crew.run(schedule).then((didRun) => {
      if (didRun) this.#surveyor.begin();
      this.#wake();
    });
  }

  async #end(): Promise<void> {
    const { service, graceMs } = this.#request;
    service.stopping();
    const { length } = this.#crew.jobs;
    if (length > 0 && this.#stops === 1) {
      this.#say(`stopping: ${this.#crew.words()} may go on for ${formatDuration(graceMs)}`);
    }
    // It is well while it waits.
    const turn = setInterval(() => this.#beat(now()), longestSleepMs / 3);
    await Promise.all([this.#crew.finish(this.#stops > 1 ? 0 : graceMs), this.#surveyor.end(), this.#postman.end()]);
    clearInterval(turn);
    this.#say('stopped');
    await service.flush();
  }

  #tellChange(before: Now, at: Now): void {
    const change = clockChange(before, at);
    if (change !== undefined) this.#request.emit({ type: 'warning', message: change });
  }

  #order(task: WorkerOrder['task']): WorkerOrder {
    const { loaded, texts } = this.#config;
    return { task, file: loaded.file, envFile: this.#request.envFile, texts };
  }

  #status(): string {
    return `${counted(this.#agenda.schedules.length, 'schedule')}; ${this.#crew.words() || 'nothing'} running`;
  }

  #say(message: string): void {
    this.#request.emit({ type: 'step', message });
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#mustReload || this.#isStopping) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
    this.#wake = () => {};
  }
}
