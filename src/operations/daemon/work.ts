/** What a worker of the daemon does, in its own process: one task, and then it ends. */
import type { Schedule } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import type { SecretNeeds } from '../../config/parser.ts';
import { AbortedError, exitCodeOf, LifeboatError, messageOf } from '../../lib/errors.ts';
import type { EventSink, RunContext } from '../../lib/events.ts';
import { hostTimeZone } from '../../lib/time-zone.ts';
import { repositoryNeeds, surveyNeeds } from '../complete.ts';
import { giveOut } from '../metrics/after-run.ts';
import { look, lookFamilies } from '../metrics/collect.ts';
import type { RepositoryFacts } from '../metrics/facts.ts';
import { areWanted } from '../metrics/wanted.ts';
import { withRepository } from '../open-repository.ts';
import type { Surroundings } from '../operation.ts';
import { flushOutbox } from '../notify/flush.ts';
import { tellUnloaded } from '../notify/unloaded.ts';
import { perform } from '../perform.ts';
import { chooseSchedule } from '../schedule/choose.ts';
import { commandOf } from '../schedule/run-command.ts';
import { pauseAfter } from '../schedule/next-try.ts';
import { schedulePublishOperation } from '../schedule/publish.ts';
import { scheduleRunOperation } from '../schedule/run.ts';
import { knownSlots, scheduleKeyOf } from '../schedule/slot.ts';
import { slotTimes } from '../schedule/slot-times.ts';
import { writeSlot } from '../../repository/slots/records.ts';
import type { WorkerEnd, WorkerMessage, WorkerTask } from './messages.ts';

export interface WorkerContext extends RunContext {
  readonly tell: (message: WorkerMessage) => void;
}

/** `load`: the configuration with these secrets. Never rejects: what went wrong is told. */
export async function work(
  task: WorkerTask,
  load: (need: SecretNeeds) => Promise<LoadedConfig>,
  context: WorkerContext,
): Promise<void> {
  const moved = new Map<string, number>();
  const emit: EventSink = (event) => {
    if (event.type !== 'progress') return context.emit(event);
    moved.set(event.component, event.readBytes + event.storedBytes);
  };
  const alive = setInterval(() => context.tell({ type: 'alive', movedBytes: sum(moved.values()) }), 1000);
  try {
    context.tell(await carryOut(task, load, { ...context, emit }));
  } catch (error) {
    const outcome = context.signal.aborted || error instanceof AbortedError ? 'aborted' : 'unknown';
    context.tell({ type: 'end', outcome, message: messageOf(error) });
  } finally {
    clearInterval(alive);
  }
}

async function carryOut(
  task: WorkerTask,
  load: (need: SecretNeeds) => Promise<LoadedConfig>,
  context: WorkerContext,
): Promise<WorkerEnd> {
  switch (task.kind) {
    case 'job':
      return runJob(chooseSchedule(await load({}), task.schedule), load, context);
    case 'death':
      return recordDeath(await load(repositoryNeeds), task, context);
    case 'notify': {
      const { config } = await load({});
      await flushOutbox(config, { limitMs: deliveryMs, emit: context.emit });
      return { type: 'end', outcome: 'settled' };
    }
    case 'survey': {
      const loaded = await load(surveyNeeds);
      const { gone } = task;
      const { warnings } = await perform(schedulePublishOperation, loaded, { gone }, context);
      for (const message of warnings) context.emit({ type: 'warning', message });
      context.tell({ type: 'published' });
      context.tell({ type: 'survey', facts: await survey(loaded, context) });
      return { type: 'end', outcome: 'settled' };
    }
  }
}

/** What is there; metrics of it go where the configuration says. */
async function survey(loaded: LoadedConfig, context: WorkerContext): Promise<RepositoryFacts> {
  const { metrics } = loaded.config;
  const seen = await look(loaded, context, { notify: true });
  const warn = (error: unknown): void => context.emit({ type: 'warning', message: messageOf(error) });
  if (areWanted(metrics)) {
    await giveOut(metrics, await lookFamilies(seen, loaded.config, Date.now()), context, warn);
  }
  if (seen.facts === undefined) throw seen.failure ?? new Error('the repository was not seen');
  return seen.facts;
}

/** For all that waits. */
const deliveryMs = 120_000;

const alone: Surroundings = { cwd: '/', confirm: async () => Promise.reject(new Error('a daemon cannot be asked')) };

async function runJob(
  schedule: Schedule,
  load: (need: SecretNeeds) => Promise<LoadedConfig>,
  context: WorkerContext,
): Promise<WorkerEnd> {
  let againMs: number | undefined;
  let hasRun = false;
  const watch = {
    begun: (due: string, attempt: number) => context.tell({ type: 'begun', due, attempt }),
    ended: (slot: Extract<WorkerMessage, { type: 'ended' }>['slot']) => {
      hasRun = true;
      context.tell({ type: 'ended', slot });
    },
    again: (atMs: number) => (againMs = Math.min(atMs, againMs ?? atMs)),
  };
  const operation = await scheduleRunOperation(schedule);
  const request = operation.complete({ schedule, slot: true, watch }, alone);
  const told = { target: schedule.options.target, components: commandOf(schedule).parts };
  const tellOf = async (error: unknown): Promise<void> =>
    tellUnloaded(commandOf(schedule).command, told, error, async () => load({}), context.emit);
  const loaded = await load(operation.need(request)).catch(async (error: unknown) => {
    if (!context.signal.aborted) await tellOf(error);
    throw error;
  });
  const left = (message?: string): WorkerEnd =>
    againMs === undefined
      ? { type: 'end', outcome: 'settled', message }
      : { type: 'end', outcome: 'again', againMs, message };
  try {
    const { outcome, reason } = await perform(operation, loaded, request, context);
    return outcome === 'elsewhere' ? { type: 'end', outcome, message: reason } : left(reason);
  } catch (error) {
    // What failed once the slot was begun has its record.
    if (context.signal.aborted) throw error;
    if (!hasRun) {
      await tellOf(error);
      throw error;
    }
    return left(messageOf(error));
  }
}

/** A backup that was complete by then stays done. */
async function recordDeath(
  loaded: LoadedConfig,
  task: Extract<WorkerTask, { kind: 'death' }>,
  context: RunContext,
): Promise<WorkerEnd> {
  const schedule = chooseSchedule(loaded, task.schedule);
  const { due, attempt, startedAt, outcome, message } = task;
  const of = scheduleKeyOf(loaded, schedule);
  const nowMs = Date.now();
  return withRepository(loaded, context, async (repository) => {
    const dueMs = Date.parse(due);
    const { cronExpression, timezone = hostTimeZone(), graceMs, missed, attempts } = schedule;
    const rules = { cronExpression, timezone, graceMs, missed, attempts, sinceMs: dueMs - 1000 };
    const known = await knownSlots(repository, of, rules, nowMs);
    const isDone = known.some((each) => each.dueMs === dueMs && each.outcome === 'done');
    if (isDone) return { type: 'end', outcome: 'settled' };
    const finishedAt = new Date(Math.max(nowMs, Date.parse(startedAt))).toISOString();
    const exitCode = exitCodeOf.source;
    const code = outcome === 'aborted' ? 'aborted' : 'crash';
    await writeSlot(repository, of, { due, attempt, outcome, startedAt, finishedAt, exitCode, code, message });
    if (outcome === 'hung' || (outcome === 'failed' && attempt >= attempts)) {
      await tellDeath(loaded, schedule, outcome, message, context);
    }
    if (attempt >= attempts) return { type: 'end', outcome: 'settled' };
    return { type: 'end', outcome: 'again', againMs: nowMs + pauseAfter(attempt, slotTimes.pausesMs) };
  });
}

async function tellDeath(
  { config }: LoadedConfig,
  schedule: Schedule,
  outcome: 'hung' | 'failed',
  message: string,
  { emit }: RunContext,
): Promise<void> {
  if (config.notifications.channels.size === 0) return;
  const words = outcome === 'hung' && !message.startsWith('hung') ? `hung: ${message}` : message;
  const error = new LifeboatError('source', words, { hint: 'see the log of the daemon' });
  const request = { target: schedule.options.target, components: commandOf(schedule).parts };
  await tellUnloaded(commandOf(schedule).command, request, error, async () => Promise.resolve({ config }), emit);
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const each of numbers) total += each;
  return total;
}
