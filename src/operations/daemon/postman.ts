/** Sends what waits to be told, by a worker, since the daemon holds no secret: each minute, if there is any. */
import { LongTimer } from '../../lib/long-timer.ts';
import { messageOf } from '../../lib/errors.ts';
import { hasDueNotices } from '../notify/due.ts';
import type { CrewOptions } from './crew.ts';
import { startWorker, type Worker } from './worker.ts';

const everyMs = 60_000;
/** No delivery takes longer. */
const mostMs = 180_000;

export class Postman {
  readonly #options: CrewOptions;
  #nextAt = 0;
  #worker: Worker | undefined;
  #running: Promise<void> | undefined;
  #isEnding = false;

  constructor(options: CrewOptions) {
    this.#options = options;
  }

  /** Never two at once. */
  beginIfDue(): void {
    if (this.#running !== undefined || this.#isEnding || performance.now() < this.#nextAt) return;
    this.#nextAt = performance.now() + everyMs;
    this.#running = this.#deliver().finally(() => {
      this.#running = undefined;
      this.#worker = undefined;
    });
  }

  /** Ends one that runs; what it has not sent stays. */
  async end(): Promise<void> {
    this.#isEnding = true;
    this.#worker?.interrupt();
    await this.#running;
  }

  /** Never rejects. */
  async #deliver(): Promise<void> {
    const { config, orderOf, program, emit } = this.#options;
    try {
      if (!(await hasDueNotices(config()))) return;
      const name = 'notify';
      const silenceMs = config().hangTimeoutMs;
      const onMessage: Parameters<typeof startWorker>[1]['onMessage'] = (message) =>
        message.type === 'event' ? emit(message.event) : undefined;
      const worker = await startWorker(program, { name, order: orderOf({ kind: 'notify' }), silenceMs, onMessage });
      this.#worker = worker;
      if (this.#isEnding) worker.interrupt();
      using _ = new LongTimer(mostMs, () => worker.kill());
      await worker.result;
    } catch (error) {
      emit({ type: 'warning', message: `what is to be told cannot be sent now: ${messageOf(error)}` });
    }
  }
}
