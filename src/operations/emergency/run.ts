/**
 * The steps of an emergency restore one after the other, each written down before and after, on disk and in the
 * repository.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { AbortedError, LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { record } from '../audit/audited.ts';
import { newestWhole } from './newest-whole.ts';
import { recordRestore } from './evidence.ts';
import type { Journal, JournalFile, JournalStep } from './journal.ts';
import { runEmergencyStep } from './steps.ts';
import { commandLine } from '../shell-words.ts';
import type { EmergencyResult } from './request.ts';

/** One attempt at a plan, from its journal's first write to its end. */
interface Attempt {
  readonly loaded: LoadedConfig;
  readonly repository: Repository;
  readonly file: JournalFile;
  readonly journal: Journal;
  readonly context: RunContext;
}

/**
 * Carries out what is not done yet. Throws what a step throws, with the state that everything is in and what to run.
 */
export async function runAll(
  loaded: LoadedConfig,
  repository: Repository,
  file: JournalFile,
  journal: Journal,
  warnings: readonly string[],
  context: RunContext,
): Promise<EmergencyResult> {
  const attempt = { loaded, repository, file, journal, context };
  await file.write(journal);
  await repository.writeKey().catch((error: unknown) => {
    const where = `on this host only (${file.path}), not in the repository`;
    context.emit({ type: 'warning', message: `the steps are written down ${where}: ${messageOf(error)}` });
  });
  await noteBeginning(attempt);
  for (const [index, step] of journal.steps.entries()) {
    if (step.state !== 'done' && step.state !== 'skipped') await runStep(attempt, step, index + 1);
  }
  journal.finishedAt = new Date().toISOString();
  await file.write(journal);
  await recordRestore(repository, journal, context);
  const { plan, startedAt, finishedAt, steps, safetyBackupId } = journal;
  return {
    outcome: 'done',
    id: plan.id,
    target: plan.target,
    startedAt,
    durationMs: Date.parse(finishedAt) - Date.parse(startedAt),
    steps: steps.map(shown),
    safetyBackupId,
    journal: file.path,
    warnings,
  };
}

/** Written down before, so that whoever finds it knows that it was begun, and after. `number`: from 1. */
async function runStep(attempt: Attempt, step: JournalStep, number: number): Promise<void> {
  const { loaded, file, journal, context } = attempt;
  context.signal.throwIfAborted();
  context.emit({ type: 'step', message: `emergency step ${number} of ${journal.steps.length}: ${step.title}` });
  step.state = 'running';
  step.startedAt = new Date().toISOString();
  step.notes = [];
  await file.write(journal);
  try {
    step.notes.push(...(await runEmergencyStep(loaded, file, journal, step, context)));
  } catch (error) {
    throw await stopped(attempt, step, error);
  }
  await ended(attempt, step, 0);
  context.emit({ type: 'step', message: `emergency step ${number} is done` });
}

/** Without its marks, which are for the next attempt only. */
function shown({ name, title, state, startedAt, finishedAt, notes }: JournalStep): Omit<JournalStep, 'marks'> {
  return { name, title, state, startedAt, finishedAt, notes };
}

/**
 * In the repository: who began what, or went on with it, so that it is seen there also if this host is lost on the way.
 */
async function noteBeginning({ loaded, journal: { plan, startedAt, steps }, context }: Attempt): Promise<void> {
  const left = steps.filter(({ state }) => state !== 'done' && state !== 'skipped').map(({ name }) => name);
  const begun = left.length === steps.length ? 'begun' : `gone on with; begun ${startedAt}`;
  const message = `${begun}; to be done: ${left.join(', ')}`;
  const now = Date.now();
  await record(
    loaded,
    {
      command: 'emergency-restore',
      target: plan.target,
      ids: [plan.id],
      outcome: 'ok',
      exitCode: 0,
      startedMs: now,
      finishedMs: now,
      details: { arguments: {}, step: 'begin', message },
    },
    context,
  );
}

async function ended({ loaded, file, journal, context }: Attempt, step: JournalStep, exitCode: number): Promise<void> {
  const { plan } = journal;
  step.state = exitCode === 0 ? 'done' : 'failed';
  step.finishedAt = new Date().toISOString();
  await file.write(journal);
  const details = {
    arguments: {},
    step: step.name,
    ...(step.notes.length === 0 ? {} : { message: step.notes.join('; ') }),
  };
  await record(
    loaded,
    {
      command: 'emergency-restore',
      target: plan.target,
      ids: [plan.id],
      outcome: exitCode === 0 ? 'ok' : 'failed',
      exitCode,
      startedMs: Date.parse(step.startedAt ?? step.finishedAt),
      finishedMs: Date.parse(step.finishedAt),
      details,
    },
    context,
  );
}

/**
 * The failure with the state that everything is in, and what to run. An abort leaves the step as it is: to be repeated.
 */
async function stopped(attempt: Attempt, step: JournalStep, error: unknown): Promise<unknown> {
  const { loaded, file, journal, context } = attempt;
  const { plan } = journal;
  const resume = `lifeboat emergency-restore restore --resume --target ${plan.target}`;
  const known = error instanceof LifeboatError ? error : undefined;
  if (error instanceof AbortedError || context.signal.aborted) {
    context.emit({ type: 'warning', message: `${stateOf(loaded, journal)}; to go on: ${resume}` });
    return error;
  }
  step.notes.push(messageOf(error));
  await ended(attempt, step, known?.exitCode ?? 1).catch((cause: unknown) =>
    context.emit({ type: 'warning', message: messageOf(cause) }),
  );
  const other = known?.code === 'integrity' ? await otherBackup(attempt) : undefined;
  const hints = [
    known?.hint,
    step.name === 'safety-backup' ? `without it: ${resume} --no-backup` : undefined,
    other ?? `then go on: ${resume}`,
  ];
  return new LifeboatError(
    known?.code ?? 'source',
    `the emergency restore stopped at "${step.title}": ${messageOf(error)}`,
    {
      state: [known?.state, stateOf(loaded, journal)].filter((each) => each !== undefined).join('; '),
      hint: hints.filter((each) => each !== undefined).join('; '),
      cause: error,
      facts: { journal: file.path, step: step.name },
    },
  );
}

async function otherBackup({ loaded, repository, journal: { plan }, context }: Attempt): Promise<string | undefined> {
  const wanted = { target: plan.target, only: plan.components };
  const besides = [plan.id];
  const { found } = await newestWhole(repository, loaded.config, wanted, context, { besides }).catch(() => ({
    found: undefined,
  }));
  if (found === undefined) return undefined;
  const run = `lifeboat emergency-restore restore ${found.id} --target ${plan.target}`;
  return `the backup may be damaged; the newest other one that is whole: ${run}`;
}

/** "done: …; services are stopped". */
function stateOf({ config }: LoadedConfig, { steps, safetyBackupId }: Journal): string {
  const done = steps.filter(({ state }) => state === 'done');
  const isDone = (name: string): boolean => done.some((step) => step.name === name);
  const parts = [
    done.length === 0 ? 'nothing was changed' : `done: ${done.map(({ name }) => name).join(', ')}`,
    ...done.flatMap(({ notes }) => notes),
  ];
  if (safetyBackupId !== undefined) parts.push(`what was there is backup ${safetyBackupId}`);
  if (isDone('stop-services') && !isDone('start-services')) {
    const { startServices } = config.emergency;
    const start = startServices === undefined ? '' : `; to start them: ${commandLine(startServices)}`;
    parts.push(`services are stopped${start}`);
  }
  return parts.join('; ');
}
