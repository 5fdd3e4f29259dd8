/**
 * Looks now and then, by a worker, how backups and schedules are doing in the repository, and says there which
 * schedules are in force.
 */
import { LongTimer } from '../../lib/long-timer.ts';
import { messageOf } from '../../lib/errors.ts';
import type { CrewOptions } from './crew.ts';
import { now } from './clock.ts';
import type { SurveyState } from './facts.ts';
import type { WorkerMessage } from './messages.ts';
import { startWorker, type Worker } from './worker.ts';

/** How often, where nothing else gives a reason. */
const everyMs = 300_000;
/** No survey takes longer. */
const mostMs = 300_000;

export class Surveyor {
  readonly #options: CrewOptions;
  readonly #wake: () => void;
  #survey: Omit<SurveyState, 'agoMs'> = { atMs: undefined, isUp: false, facts: undefined };
  /** By the steady clock. */
  #seenAt: number | undefined;
  /** Ids that the daemon had and has no more; not yet said in the repository. */
  #gone: readonly string[] = [];
  #worker: Worker | undefined;
  #running: Promise<void> | undefined;
  #mustBegin = false;
  #nextAt = 0;
  #isDoneOnce = false;
  #isEnding = false;

  /** `wake`: called after each. */
  constructor(options: CrewOptions, wake: () => void) {
    this.#options = options;
    this.#wake = wake;
  }

  get survey(): SurveyState {
    const agoMs = this.#seenAt === undefined ? undefined : now().steadyMs - this.#seenAt;
    return { ...this.#survey, agoMs };
  }

  /** The schedules are published, or could not be. */
  get isDoneOnce(): boolean {
    return this.#isDoneOnce;
  }

  /**
   * There is a reason to look again. `gone`: ids of schedules that are in force no more. Others that this host has
   * published stay: they may be those of another configuration.
   */
  begin(gone: readonly string[] = []): void {
    this.#mustBegin = true;
    this.#gone = [...this.#gone, ...gone];
  }

  /** Starts one if there is a reason, or it is time; never two at once. */
  beginIfDue(): void {
    if (this.#running !== undefined || this.#isEnding) return;
    if (!this.#mustBegin && performance.now() < this.#nextAt) return;
    this.#mustBegin = false;
    this.#nextAt = performance.now() + everyMs;
    this.#running = this.#look().finally(() => {
      this.#running = undefined;
      this.#worker = undefined;
      this.#goOn();
    });
  }

  #goOn(): void {
    this.#isDoneOnce = true;
    this.#wake();
  }

  /** Ends one that runs. */
  async end(): Promise<void> {
    this.#isEnding = true;
    this.#worker?.interrupt();
    await this.#running;
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const wasUp = this.#survey.isUp;
    try {
      const gone = this.#gone;
      const order = this.#options.orderOf({ kind: 'survey', gone });
      const silenceMs = this.#options.config().hangTimeoutMs;
      const onMessage = this.#hear.bind(this);
      this.#worker = await startWorker(this.#options.program, { name: 'survey', order, silenceMs, onMessage });
      if (this.#isEnding) this.#worker.interrupt();
      const worker = this.#worker;
      using _ = new LongTimer(mostMs, () => worker.kill());
      const result = await worker.result;
      if (result.type === 'end' && result.outcome === 'settled') {
        this.#gone = this.#gone.filter((id) => !gone.includes(id));
        return;
      }
      this.#fail(result.message ?? 'it did not answer in time', wasUp);
    } catch (error) {
      this.#fail(messageOf(error), wasUp);
    }
  }

  /** Told once, until it is well again. */
  #fail(why: string, wasUp: boolean): void {
    this.#survey = { ...this.#survey, isUp: false };
    if (this.#isEnding || (this.#isDoneOnce && !wasUp)) return;
    this.#options.emit({ type: 'warning', message: `cannot see how backups and schedules are doing: ${why}` });
  }

  #hear(message: WorkerMessage): void {
    if (message.type === 'event' && message.event.type === 'warning') this.#options.emit(message.event);
    if (message.type === 'published') return this.#goOn();
    if (message.type !== 'survey') return;
    const { wallMs, steadyMs } = now();
    this.#seenAt = steadyMs;
    this.#survey = { atMs: wallMs, isUp: true, facts: message.facts };
  }
}
