/**
 * The runs of due slots, one after the other: each with its attempts and the pauses between them, each attempt with a
 * record of its outcome. Under the slot's lease.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Schedule } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { slotTag, type ScheduleKey } from '../../repository/slots/names.ts';
import { writeSlot, type SlotDraft } from '../../repository/slots/records.ts';
import type { SlotChoice } from '../due-slots.ts';
import { withRepository } from '../open-repository.ts';
import { attempt, type Attempt } from './attempt.ts';
import { pauseAfter } from './next-try.ts';
import type { PreparedRun } from './prepare.ts';
import type { RanSlot, RanSlots, SlotWatch } from './request.ts';
import type { SlotTimes } from './slot-times.ts';

/** What runs. */
export interface SlotWork {
  readonly loaded: LoadedConfig;
  readonly schedule: Schedule;
  readonly prepared: PreparedRun;
  readonly of: ScheduleKey;
  readonly times: SlotTimes;
  /** Then each slot is tried once: the pauses are its own. */
  readonly watch?: SlotWatch | undefined;
}

type Chosen = SlotChoice['runs'][number];

/** How long a record may take, once all is done, and after a failure or an interruption. */
const recordMs = { good: 60_000, bad: 10_000 };

export class SlotRunner {
  readonly #work: SlotWork;
  readonly #context: RunContext;

  constructor(work: SlotWork, context: RunContext) {
    this.#work = work;
    this.#context = context;
  }

  /**
   * All that were chosen. Rejects with the first error, once the others have run, too; at once where one is to be tried
   * again.
   */
  async run({ runs, skips, newestMs }: SlotChoice): Promise<RanSlots> {
    const slots: RanSlot[] = [];
    let failure: Error | undefined;
    let last: Attempt | undefined;
    for (const each of runs) {
      last = await this.#runSlot(each, slots);
      failure ??= last.error;
      // A later one that is done would settle it, and nobody would try it again.
      const isLeft = last.outcome === 'aborted' || slots.at(-1)?.isFinal === false;
      if (this.#context.signal.aborted || isLeft) break;
    }
    if (failure !== undefined) throw failure;
    if (last !== undefined) {
      const exitCode = Math.max(...slots.map((each) => (each.isFinal ? each.exitCode : 0)));
      return { outcome: last.outcome === 'done' ? 'done' : 'failed', slots, exitCode, answer: last.answer };
    }
    const newest = newestMs === undefined ? 'no moment was due yet' : `that of ${utc(newestMs)} is settled`;
    const reason = skips.length > 0 ? `missed, and missed is "skip": ${skips.map(utc).join(', ')}` : newest;
    return { outcome: skips.length > 0 ? 'skipped' : 'nothing-due', reason, slots, exitCode: 0 };
  }

  async #runSlot(chosen: Chosen, slots: RanSlot[]): Promise<Attempt> {
    const { schedule, times, watch } = this.#work;
    if (chosen.covers > 0) {
      const message = `${schedule.id}: this run also stands for ${chosen.covers} earlier moments that were missed`;
      this.#context.emit({ type: 'step', message });
    }
    for (let tried = chosen.attempt; ; tried++) {
      watch?.begun(utc(chosen.dueMs), tried);
      const ended = await this.#attempt(chosen, tried);
      const mayTryAgain = ended.isWorthAnother && tried < schedule.attempts && !this.#context.signal.aborted;
      const slot = ranSlot(chosen, tried, ended, !mayTryAgain);
      slots.push(slot);
      watch?.ended(slot);
      if (!mayTryAgain) return ended;
      const pauseMs = pauseAfter(tried, times.pausesMs);
      const why = ended.message ?? 'for no reason that it tells';
      const again = `again in ${pauseMs / 1000} s`;
      this.#context.emit({
        type: 'step',
        message: `${schedule.id}: attempt ${tried} of ${schedule.attempts} failed (${why}); ${again}`,
      });
      watch?.again(times.now() + pauseMs);
      if (watch !== undefined || !(await this.#pause(pauseMs))) return ended;
    }
  }

  async #attempt(chosen: Chosen, tried: number): Promise<Attempt> {
    const { loaded, schedule, prepared, of, times } = this.#work;
    const startedMs = times.now();
    const ended = await attempt(schedule, prepared, loaded, this.#context, {
      tags: [slotTag(of.id, chosen.dueMs)],
      mayTryAgain: tried < schedule.attempts,
    });
    const draft: SlotDraft = {
      due: utc(chosen.dueMs),
      attempt: tried,
      outcome: ended.outcome,
      startedAt: utc(startedMs),
      finishedAt: utc(Math.max(startedMs, times.now())),
      exitCode: ended.exitCode,
      ...(ended.code === undefined ? {} : { code: ended.code }),
      ...(ended.backupId === undefined ? {} : { backup: ended.backupId }),
      ...(chosen.covers === 0 ? {} : { covers: chosen.covers }),
      ...(ended.message === undefined ? {} : { message: ended.message }),
    };
    await this.#record(draft);
    return ended;
  }

  /** By a connection of its own, which an interruption does not end. What was done is done: never rejects. */
  async #record(draft: SlotDraft): Promise<void> {
    const { loaded, of } = this.#work;
    const limit = AbortSignal.timeout(draft.outcome === 'done' ? recordMs.good : recordMs.bad);
    const emit = this.#context.emit;
    try {
      await withRepository(loaded, { signal: limit, emit }, async (repository) => writeSlot(repository, of, draft));
    } catch (error) {
      emit({ type: 'warning', message: `what became of the slot ${draft.due} is not recorded: ${messageOf(error)}` });
    }
  }

  /** False when it was interrupted. */
  async #pause(ms: number): Promise<boolean> {
    const { signal } = this.#context;
    return sleep(ms, true, { signal }).catch(() => false);
  }
}

function ranSlot({ dueMs, covers }: Chosen, tried: number, ended: Attempt, isFinal: boolean): RanSlot {
  const { outcome, exitCode, code, backupId } = ended;
  return { due: utc(dueMs), attempt: tried, outcome, exitCode, code, backupId, covers, isFinal };
}

function utc(ms: number): string {
  return new Date(ms).toISOString();
}
