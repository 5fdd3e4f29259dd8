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
import type { EmergencyPlan } from './plan.ts';
import { runEmergencyStep } from './steps.ts';
import { commandLine } from '../shell-words.ts';
import type { EmergencyResult } from './request.ts';

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
  await file.write(journal);
  await repository.writeKey().catch((error: unknown) => {
    const where = `on this host only (${file.path}), not in the repository`;
    context.emit({ type: 'warning', message: `the steps are written down ${where}: ${messageOf(error)}` });
  });
  await noteBeginning(loaded, journal, context);
  for (const [index, step] of journal.steps.entries()) {
    if (step.state === 'done' || step.state === 'skipped') continue;
    context.signal.throwIfAborted();
    context.emit({ type: 'step', message: `emergency step ${index + 1} of ${journal.steps.length}: ${step.title}` });
    step.state = 'running';
    step.startedAt = new Date().toISOString();
    step.notes = [];
    await file.write(journal);
    try {
      step.notes.push(...(await runEmergencyStep(loaded, file, journal, step, context)));
    } catch (error) {
      throw await stopped(loaded, repository, file, journal, step, error, context);
    }
    await ended(loaded, file, journal, step, 0, context);
    context.emit({ type: 'step', message: `emergency step ${index + 1} is done` });
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

/** Without its marks, which are for the next attempt only. */
function shown({ name, title, state, startedAt, finishedAt, notes }: JournalStep): Omit<JournalStep, 'marks'> {
  return { name, title, state, startedAt, finishedAt, notes };
}

/**
 * In the repository: who began what, or went on with it, so that it is seen there also if this host is lost on the way.
 */
async function noteBeginning(
  loaded: LoadedConfig,
  { plan, startedAt, steps }: Journal,
  context: RunContext,
): Promise<void> {
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

async function ended(
  loaded: LoadedConfig,
  file: JournalFile,
  journal: Journal,
  step: JournalStep,
  exitCode: number,
  context: RunContext,
): Promise<void> {
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
async function stopped(
  loaded: LoadedConfig,
  repository: Repository,
  file: JournalFile,
  journal: Journal,
  step: JournalStep,
  error: unknown,
  context: RunContext,
): Promise<unknown> {
  const { plan } = journal;
  const resume = `lifeboat emergency-restore restore --resume --target ${plan.target}`;
  const known = error instanceof LifeboatError ? error : undefined;
  if (error instanceof AbortedError || context.signal.aborted) {
    context.emit({ type: 'warning', message: `${stateOf(loaded, journal)}; to go on: ${resume}` });
    return error;
  }
  step.notes.push(messageOf(error));
  await ended(loaded, file, journal, step, known?.exitCode ?? 1, context).catch((cause: unknown) =>
    context.emit({ type: 'warning', message: messageOf(cause) }),
  );
  const other = known?.code === 'integrity' ? await otherBackup(loaded, repository, plan, context) : undefined;
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

async function otherBackup(
  loaded: LoadedConfig,
  repository: Repository,
  plan: EmergencyPlan,
  context: RunContext,
): Promise<string | undefined> {
  const { found } = await newestWhole(
    repository,
    loaded.config,
    { target: plan.target, only: plan.components },
    context,
    { besides: [plan.id] },
  ).catch(() => ({ found: undefined }));
  return found === undefined
    ? undefined
    : 'the backup may be damaged; the newest other one that is whole: lifeboat emergency-restore restore ' +
        `${found.id} --target ${plan.target}`;
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
