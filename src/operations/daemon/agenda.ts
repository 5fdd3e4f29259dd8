/**
 * When which schedule is looked at next. The clock only says when to look: what is due, and whether somebody has run it
 * already, stands in the repository. So nothing here must be right after a jump of the clock or a long sleep: a newest
 * due moment that is not the one looked at last is looked at, in whichever direction the clock went.
 */
import type { Schedule } from '../../config/config.ts';
import { lastMoment, nextMoment, parseCron, type Cron } from '../../lib/cron.ts';
import { pauseAfter } from '../schedule/next-try.ts';
import type { Now } from './clock.ts';
import type { WorkerEnd } from './messages.ts';

interface Entry {
  readonly schedule: Schedule;
  readonly cron: Cron;
  /** The newest due moment when it was looked at last. */
  lookedMs: number | undefined;
  /** By the steady clock; undefined: not before the next moment. */
  againAtMs: number | undefined;
  /** Looks in a row that ended so. */
  looks: { readonly outcome: WorkerEnd['outcome']; readonly count: number };
  isRunning: boolean;
}

/** Pauses after looks that found nothing out: the last one goes on for ever. */
const unknownPausesMs = [60_000, 300_000, 1_500_000];
/** How soon a slot that another host runs is looked at again: it may have died. */
const elsewherePausesMs = [15_000, 30_000, 60_000, 120_000];

export class Agenda {
  readonly #entries = new Map<string, Entry>();

  /** Replaces the schedules. One that has other moments, or is new, is looked at. Returns those that no clock tells. */
  set(schedules: readonly Schedule[]): Schedule[] {
    const before = new Map(this.#entries);
    this.#entries.clear();
    const without: Schedule[] = [];
    for (const schedule of schedules.filter(({ enabled }) => enabled)) {
      const cron = parseCron(schedule.cronExpression);
      const known = before.get(schedule.id);
      if (cron === undefined) without.push(schedule);
      else this.#entries.set(schedule.id, { ...(known === undefined ? fresh : kept(known, schedule)), schedule, cron });
    }
    return without;
  }

  get schedules(): Schedule[] {
    return [...this.#entries.values()].map(({ schedule }) => schedule);
  }

  /** What is to be looked at now, what waits longest first. */
  due({ wallMs, steadyMs }: Now): Schedule[] {
    const found: { schedule: Schedule; sinceMs: number }[] = [];
    for (const { schedule, cron, isRunning, lookedMs, againAtMs } of this.#entries.values()) {
      const newestMs = lastMoment(cron, wallMs, schedule.timezone);
      const isNew = newestMs !== undefined && newestMs !== lookedMs;
      const isAgain = againAtMs !== undefined && againAtMs <= steadyMs;
      if (!isRunning && (isAgain || isNew)) found.push({ schedule, sinceMs: newestMs ?? wallMs });
    }
    return found.toSorted((a, b) => a.sinceMs - b.sinceMs).map(({ schedule }) => schedule);
  }

  /** It is being looked at from now on. */
  begin(id: string, { wallMs }: Now): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.isRunning = true;
    entry.againAtMs = undefined;
    entry.lookedMs = lastMoment(entry.cron, wallMs, entry.schedule.timezone);
  }

  /** What came of it. Returns in how many milliseconds it is looked at again, where that is not its next moment. */
  end(id: string, { outcome, againMs }: Pick<WorkerEnd, 'outcome' | 'againMs'>, now: Now): number | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    entry.isRunning = false;
    const count = entry.looks.outcome === outcome ? entry.looks.count + 1 : 1;
    entry.looks = { outcome, count };
    const waitMs = {
      settled: undefined,
      again: Math.max(0, (againMs ?? now.wallMs) - now.wallMs),
      elsewhere: pauseAfter(count, elsewherePausesMs),
      unknown: pauseAfter(count, unknownPausesMs),
      aborted: unknownPausesMs[0],
    }[outcome];
    entry.againAtMs = waitMs === undefined ? undefined : now.steadyMs + waitMs;
    return waitMs;
  }

  /** In how many milliseconds something is due, at most `mostMs`. */
  waitMs({ wallMs, steadyMs }: Now, mostMs: number): number {
    const waits = [...this.#entries.values()]
      .filter(({ isRunning }) => !isRunning)
      .flatMap(({ cron, schedule, againAtMs }) => [
        (nextMoment(cron, wallMs, schedule.timezone) ?? Infinity) - wallMs,
        (againAtMs ?? Infinity) - steadyMs,
      ]);
    return Math.max(0, Math.min(mostMs, ...waits));
  }

  /** The next moment by the clock, milliseconds since 1970. */
  nextMs(id: string, wallMs: number): number | undefined {
    const entry = this.#entries.get(id);
    return entry && nextMoment(entry.cron, wallMs, entry.schedule.timezone);
  }
}

const fresh = {
  lookedMs: undefined,
  againAtMs: undefined,
  looks: { outcome: 'settled', count: 0 },
  isRunning: false,
} as const;

/** What was found out about the moments of another expression does not count; what runs goes on. */
function kept(known: Entry, { cronExpression, timezone }: Schedule): Omit<Entry, 'schedule' | 'cron'> {
  const { schedule, isRunning } = known;
  const isSame = schedule.cronExpression === cronExpression && schedule.timezone === timezone;
  return isSame ? known : { ...fresh, isRunning };
}
