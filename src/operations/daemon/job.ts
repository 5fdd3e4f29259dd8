/** One look at a schedule by a worker: what the worker tells becomes lines of the log, and what is known of the job. */
import type { EventSink } from '../../lib/events.ts';
import type { RanSlot } from '../schedule/request.ts';
import type { RunningJob } from './facts.ts';
import type { WorkerMessage, WorkerTask } from './messages.ts';
import type { Worker } from './worker.ts';

type Death = Extract<WorkerTask, { kind: 'death' }>;

export class Job implements RunningJob {
  readonly id: string;
  readonly sinceMs = Date.now();
  movedBytes = 0;
  movedMs = Date.now();
  /** Once it is started. */
  worker: Worker | undefined;
  readonly #emit: EventSink;
  readonly #onEnded: (outcome: string) => void;
  /** The attempt that runs. */
  #begun: Pick<Death, 'due' | 'attempt' | 'startedAt'> | undefined;
  #hasBegun = false;

  constructor(id: string, emit: EventSink, onEnded: (outcome: string) => void) {
    this.id = id;
    this.#emit = emit;
    this.#onEnded = onEnded;
  }

  /** An attempt was begun, whatever came of it. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  hear(message: WorkerMessage): void {
    switch (message.type) {
      case 'event': {
        const { event } = message;
        const component = 'component' in event && event.component !== undefined ? `/${event.component}` : '';
        const told = 'message' in event ? { message: event.message.replace(`${this.id}: `, '') } : {};
        return this.#emit({ ...event, ...told, component: `${this.id}${component}` });
      }
      case 'alive':
        if (message.movedBytes !== this.movedBytes) this.movedMs = Date.now();
        this.movedBytes = message.movedBytes;
        return;
      case 'begun':
        this.#hasBegun = true;
        this.#begun = { due: message.due, attempt: message.attempt, startedAt: new Date().toISOString() };
        return this.#say(`begins the slot of ${message.due}, attempt ${message.attempt}`);
      case 'ended':
        this.#begun = undefined;
        this.#onEnded(message.slot.outcome);
        return this.#sayEnded(message.slot);
      case 'published':
      case 'survey':
      case 'end':
        return;
    }
  }

  /** What is to be written down where the worker died in an attempt; undefined: it was in none. */
  death(outcome: Death['outcome'], message: string): Death | undefined {
    if (this.#begun === undefined) return undefined;
    this.#onEnded(outcome);
    return { kind: 'death', schedule: this.id, ...this.#begun, outcome, message };
  }

  #sayEnded({ due, outcome, exitCode, backupId, covers }: RanSlot): void {
    const made = backupId === undefined ? '' : `, backup ${backupId}`;
    const also = covers === 0 ? '' : `, and stands for ${covers} before it that were missed`;
    const message = `${outcome}: the slot of ${due}, exit code ${exitCode}${made}${also}`;
    if (outcome === 'done') this.#say(message);
    else this.#emit({ type: 'warning', component: this.id, message });
  }

  #say(message: string): void {
    this.#emit({ type: 'step', component: this.id, message });
  }
}
