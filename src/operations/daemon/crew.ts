/** The workers that run jobs: starting them, and how they end. */
import type { Config, Schedule } from '../../config/config.ts';
import { messageOf } from '../../lib/errors.ts';
import type { EventSink } from '../../lib/events.ts';
import { LongTimer } from '../../lib/long-timer.ts';
import { formatDuration } from '../../lib/time.ts';
import type { Agenda } from './agenda.ts';
import { now } from './clock.ts';
import type { RunningJob } from './facts.ts';
import { Job } from './job.ts';
import type { WorkerEnd, WorkerOrder, WorkerTask } from './messages.ts';
import { startWorker, type WorkerProgram, type WorkerResult } from './worker.ts';

/** What jobs and surveys are started with. */
export interface CrewOptions {
  readonly program: WorkerProgram;
  readonly emit: EventSink;
  readonly orderOf: (task: WorkerTask) => WorkerOrder;
  /** The one in force. */
  readonly config: () => Config;
}

/** From SIGINT to SIGKILL: what runs puts away what it has begun. */
const puttingAwayMs = 30_000;
/** How long writing down the end of a dead worker may take. */
const burialMs = 25_000;

export class Crew {
  readonly #options: CrewOptions;
  readonly #agenda: Agenda;
  readonly #jobs = new Map<Job, Promise<boolean>>();
  readonly #ended = new Map<string, Map<string, number>>();
  #isEnding = false;
  #killing: LongTimer | undefined;

  constructor(options: CrewOptions, agenda: Agenda) {
    this.#options = options;
    this.#agenda = agenda;
  }

  get jobs(): RunningJob[] {
    return [...this.#jobs.keys()];
  }

  /** Attempts that have ended, by schedule and outcome. */
  get ended(): ReadonlyMap<string, ReadonlyMap<string, number>> {
    return this.#ended;
  }

  /** Names of what runs; empty: nothing does. */
  words(): string {
    return [...this.#jobs.keys()].map(({ id }) => id).join(', ');
  }

  /** Looks at a schedule and runs what is due of it. Resolves to whether a slot was begun. Never rejects. */
  async run({ id }: Schedule): Promise<boolean> {
    const job = new Job(id, this.#options.emit, (outcome) => this.#count(id, outcome));
    const over = this.#see(job);
    this.#jobs.set(job, over);
    return over;
  }

  /** Tells all that runs to end, as an operator's Ctrl-C would; what has not ended half a minute later is killed. */
  interrupt(): void {
    // A second SIGINT would end them without putting away what they have begun.
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#killing = new LongTimer(puttingAwayMs, () => this.kill());
    for (const { worker } of this.#jobs.keys()) worker?.interrupt();
  }

  /** Ends all that runs at once. */
  kill(): void {
    this.#isEnding = true;
    for (const { worker } of this.#jobs.keys()) worker?.kill();
  }

  /** Waits for what runs; after the grace time it is told to end. */
  async finish(graceMs: number): Promise<void> {
    using _grace = new LongTimer(graceMs, () => this.interrupt());
    await Promise.all(this.#jobs.values());
    this.#killing?.[Symbol.dispose]();
  }

  async #see(job: Job): Promise<boolean> {
    const unknown = (error: unknown): WorkerEnd => ({ type: 'end', outcome: 'unknown', message: messageOf(error) });
    const end = await this.#endOf(job).catch(unknown);
    this.#jobs.delete(job);
    const waitMs = this.#agenda.end(job.id, end, now());
    if (!this.#isEnding) this.#tell(job, end, waitMs);
    return job.hasBegun;
  }

  async #endOf(job: Job): Promise<WorkerEnd> {
    const order = this.#options.orderOf({ kind: 'job', schedule: job.id });
    const silenceMs = this.#options.config().hangTimeoutMs;
    const onMessage = job.hear.bind(job);
    job.worker = await startWorker(this.#options.program, { name: job.id, order, silenceMs, onMessage });
    if (this.#isEnding) job.worker.interrupt();
    const result = await job.worker.result;
    return result.type === 'end' ? result : this.#bury(job, result);
  }

  /** The worker could not write down what became of its slot. */
  async #bury(job: Job, { isHung, message }: Extract<WorkerResult, { type: 'death' }>): Promise<WorkerEnd> {
    const outcome = this.#isEnding ? 'aborted' : isHung ? 'hung' : 'failed';
    const task = job.death(outcome, message);
    // Told to end before it had begun anything.
    if (this.#isEnding && task === undefined) return { type: 'end', outcome: 'aborted', message };
    this.#options.emit({ type: 'warning', component: job.id, message });
    if (task === undefined) return { type: 'end', outcome: 'unknown', message };
    const order = this.#options.orderOf(task);
    const worker = await startWorker(this.#options.program, {
      name: `${job.id}:record`,
      order,
      silenceMs: burialMs,
      onMessage: () => {},
    });
    using _ = new LongTimer(burialMs, () => worker.kill());
    const result = await worker.result;
    return result.type === 'end' ? result : { type: 'end', outcome: 'unknown', message: result.message };
  }

  #tell({ id, hasBegun }: Job, { outcome, message }: WorkerEnd, waitMs: number | undefined): void {
    const again = waitMs === undefined ? '' : `; looks again in ${formatDuration(waitMs)}`;
    const why = message === undefined ? '' : `: ${message}`;
    const text = `${outcomeWords[outcome]}${why}${again}`;
    // That it is done was told already.
    if (outcome === 'settled' && hasBegun && message === undefined) return;
    const quiet = outcome === 'settled' && !hasBegun ? 'debug' : 'step';
    const type = outcome === 'unknown' || (outcome === 'settled' && hasBegun) ? 'warning' : quiet;
    this.#options.emit({ type, component: id, message: text });
  }

  #count(id: string, outcome: string): void {
    const of = this.#ended.get(id) ?? new Map<string, number>();
    of.set(outcome, (of.get(outcome) ?? 0) + 1);
    this.#ended.set(id, of);
  }
}

const outcomeWords = {
  settled: 'nothing is left to do until the next moment',
  again: 'is to be tried again',
  elsewhere: 'another host is at it',
  unknown: 'could not be run',
  aborted: 'was told to end',
};
