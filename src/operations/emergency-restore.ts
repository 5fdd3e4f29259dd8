/**
 * Everything back from the newest whole backup: planned and confirmed first, then step by step, each written down
 * before and after, on disk and in the audit log. A step can be repeated: what was killed is gone on with from the
 * first step that is not done.
 */
import type { LoadedConfig } from '../config/load.ts';
import { AbortedError, LifeboatError, messageOf } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import type { Repository } from '../repository/repository.ts';
import { audited, record } from './audited.ts';
import { newestWhole } from './emergency-choose.ts';
import { recordRestore } from './emergency-evidence.ts';
import { JournalFile, newJournal, type Journal, type JournalStep } from './emergency-journal.ts';
import { movedSince, planEmergency, planLines, type EmergencyPlan, type PlanOptions } from './emergency-plan.ts';
import { changesSince, readPlan, writePlan } from './emergency-plan-file.ts';
import { runEmergencyStep } from './emergency-steps.ts';
import { noteWarnings } from './noting.ts';
import { withRepository } from './open-repository.ts';
import type { ComponentName, Confirm } from './requests.ts';
import { chooseTarget } from './targets.ts';

export interface EmergencyRequest {
  /** Undefined: the newest that is whole. */
  readonly id?: string | undefined;
  readonly target?: string | undefined;
  /** Empty: all that are in the backup. */
  readonly only: readonly ComponentName[];
  /** Do not ask for the target's name, and take a backup that is not whole; wants the full id. */
  readonly force: boolean;
  readonly safetyBackup: boolean;
  /** Only plan. */
  readonly dryRun: boolean;
  /** Absolute path of a new file: only plan, and write the plan there. */
  readonly planOut?: string | undefined;
  /** Absolute path of such a file: carry it out. */
  readonly apply?: string | undefined;
  /** Go on with the run that was interrupted. */
  readonly resume: boolean;
  readonly confirm: Confirm;
}

export type EmergencyResult =
  | { readonly outcome: 'planned'; readonly id: string; readonly target: string; readonly plan: EmergencyPlan; readonly lines: readonly string[]; readonly planFile?: string | undefined; readonly warnings: readonly string[] }
  | {
      readonly outcome: 'done';
      readonly id: string;
      readonly target: string;
      readonly startedAt: string;
      readonly durationMs: number;
      readonly steps: readonly Readonly<JournalStep>[];
      readonly safetyBackupId?: string | undefined;
      /** File with all of it. */
      readonly journal: string;
      readonly warnings: readonly string[];
    };

export const emergencyRestore = audited('emergency-restore', restoreAll);

async function restoreAll(loaded: LoadedConfig, request: EmergencyRequest, told: RunContext): Promise<EmergencyResult> {
  refuseContradictions(request);
  const { context, warnings } = noteWarnings(told);
  return withRepository(loaded, context, async (repository) => {
    const target = chooseTarget(loaded, request.target).name;
    const file = new JournalFile(loaded.config.stateDir, target);
    if (request.resume) return runAll(loaded, repository, file, await unfinished(loaded, repository, file, request, target, context), warnings, context);
    const plan = await planOf(loaded, repository, request, target, context);
    const lines = planLines(plan);
    if (request.dryRun || request.planOut !== undefined) {
      if (request.planOut !== undefined) await writePlan(repository, (await repository.readManifest(plan.id)).manifest ?? unknownBackup(plan.id), plan, request.planOut);
      return { outcome: 'planned', id: plan.id, target, plan, lines, planFile: request.planOut, warnings };
    }
    for (const message of lines) context.emit({ type: 'step', message });
    await confirmPlan(plan, request, context);
    await putEarlierAside(file, context);
    return runAll(loaded, repository, file, newJournal(plan), warnings, context);
  });
}

function refuseContradictions({ id, only, force, resume, apply, planOut, dryRun }: EmergencyRequest): void {
  if (resume && (id !== undefined || only.length > 0 || apply !== undefined || planOut !== undefined || dryRun)) throw new LifeboatError('usage', '--resume goes on with what was planned: it takes no id and no other choice');
  if (apply !== undefined && (id !== undefined || only.length > 0 || planOut !== undefined)) throw new LifeboatError('usage', '--apply carries out a plan: id and components stand in it');
  if (force && (id === undefined || id.startsWith('latest'))) throw new LifeboatError('usage', '--force wants the id of the backup spelled out', { state: 'nothing was changed', hint: 'lifeboat emergency-restore status shows the ids; without --force the name of the target is asked for' });
}

/** A new plan; with --apply the one in the file, if everything is still as it says. */
async function planOf(loaded: LoadedConfig, repository: Repository, request: EmergencyRequest, target: string, context: RunContext): Promise<EmergencyPlan> {
  if (request.apply === undefined) {
    const options: PlanOptions = { id: request.id, target, only: request.only, force: request.force, safetyBackup: request.safetyBackup };
    const plan = await planEmergency(loaded, repository, options, context);
    if (request.force && request.id !== plan.id) throw new LifeboatError('usage', '--force wants the id of the backup spelled out', { state: 'nothing was changed', hint: `it is ${plan.id}` });
    return plan;
  }
  const before = await readPlan(repository, request.apply);
  if (before.target !== target) throw new LifeboatError('usage', `the plan is for target ${before.target}, not for ${target}`, { state: 'nothing was changed', hint: `add --target ${before.target}` });
  const now = await planEmergency(loaded, repository, { id: before.id, target, only: before.components, force: before.forced, safetyBackup: before.safetyBackup }, context);
  const changes = changesSince(before, now);
  if (changes.length === 0) return now;
  throw new LifeboatError('confirmation', `the plan no longer fits: ${changes.join('; ')}`, { state: 'nothing was changed', hint: 'make a new plan: lifeboat emergency-restore restore --plan-out <file>' });
}

/** A wrong place is confirmed by a name of its own, so that what stands in an old script does not do; --force does not override that. */
async function confirmPlan(plan: EmergencyPlan, request: EmergencyRequest, { emit }: RunContext): Promise<void> {
  const consequences = [...plan.mismatches, ...plan.losses];
  if (plan.mismatches.length === 0 && request.force) {
    emit({ type: 'warning', message: `--force: not asked whether ${plan.losses.length === 0 ? 'nothing live is replaced' : plan.losses.join('; ')}` });
    return;
  }
  await request.confirm({ name: plan.confirmName, consequences: consequences.length === 0 ? [`target ${plan.target} is restored from ${plan.id}; nothing live is replaced`] : consequences });
}

async function putEarlierAside(file: JournalFile, { emit }: RunContext): Promise<void> {
  const earlier = await file.read();
  if (earlier === undefined) return;
  const aside = await file.putAside(earlier);
  if (earlier.finishedAt === undefined) emit({ type: 'warning', message: `the emergency restore of ${earlier.plan.id}, begun ${earlier.startedAt}, was not finished; its journal is ${aside}` });
}

async function unfinished(loaded: LoadedConfig, repository: Repository, file: JournalFile, request: EmergencyRequest, target: string, context: RunContext): Promise<Journal> {
  const journal = await file.read();
  if (journal === undefined || journal.finishedAt !== undefined) {
    throw new LifeboatError('not_found', `no emergency restore of target ${target} was interrupted on this host`, { state: 'nothing was changed', hint: `the journal would be ${file.path}; start with: lifeboat emergency-restore restore` });
  }
  const { plan } = journal;
  const { seal } = await repository.readManifest(plan.id);
  if (seal !== plan.seal) throw new LifeboatError('integrity', `backup ${plan.id} is no longer the one that was planned`, { state: 'nothing was changed by this run', hint: 'start anew: lifeboat emergency-restore restore' });
  const moved = await movedSince(loaded.config, plan, context);
  if (moved.length > 0) throw new LifeboatError('confirmation', `this is not what was planned: ${moved.join('; ')}`, { state: 'nothing was changed by this run', hint: 'put the configuration back, or start anew: lifeboat emergency-restore restore' });
  if (!request.safetyBackup) for (const step of journal.steps) if (step.name === 'safety-backup' && step.state !== 'done') step.state = 'skipped';
  context.emit({ type: 'step', message: `going on with the emergency restore of ${plan.id}, begun ${journal.startedAt}: ${journal.steps.filter(({ state }) => state === 'done').length} of ${journal.steps.length} steps are done` });
  return journal;
}

async function runAll(loaded: LoadedConfig, repository: Repository, file: JournalFile, journal: Journal, warnings: readonly string[], context: RunContext): Promise<EmergencyResult> {
  await file.write(journal);
  for (const [index, step] of journal.steps.entries()) {
    if (step.state === 'done' || step.state === 'skipped') continue;
    context.signal.throwIfAborted();
    context.emit({ type: 'step', message: `emergency step ${index + 1} of ${journal.steps.length}: ${step.title}` });
    step.state = 'running';
    step.startedAt = new Date().toISOString();
    await file.write(journal);
    try {
      step.notes.push(...(await runEmergencyStep(loaded, journal, step, context)));
    } catch (error) {
      throw await stopped(loaded, repository, file, journal, step, error, context);
    }
    await ended(loaded, file, journal, step, 'done', context);
    context.emit({ type: 'step', message: `emergency step ${index + 1} is done` });
  }
  journal.finishedAt = new Date().toISOString();
  await file.write(journal);
  await recordRestore(repository, journal, context);
  const { plan, startedAt, finishedAt, steps, safetyBackupId } = journal;
  return { outcome: 'done', id: plan.id, target: plan.target, startedAt, durationMs: Date.parse(finishedAt) - Date.parse(startedAt), steps, safetyBackupId, journal: file.path, warnings };
}

async function ended(loaded: LoadedConfig, file: JournalFile, { plan, ...journal }: Journal, step: JournalStep, state: 'done' | 'failed', context: RunContext): Promise<void> {
  step.state = state;
  step.finishedAt = new Date().toISOString();
  await file.write({ plan, ...journal });
  const outcome = state === 'done' ? 'ok' : 'failed';
  const details = { arguments: {}, step: step.name, ...(step.notes.length === 0 ? {} : { message: step.notes.join('; ') }) };
  await record(loaded, { command: 'emergency-restore', target: plan.target, ids: [plan.id], outcome, exitCode: outcome === 'ok' ? 0 : 1, startedMs: Date.parse(step.startedAt ?? step.finishedAt), finishedMs: Date.parse(step.finishedAt), details }, context);
}

/** The failure with the state that everything is in, and what to run. An abort leaves the step as it is: to be repeated. */
async function stopped(loaded: LoadedConfig, repository: Repository, file: JournalFile, journal: Journal, step: JournalStep, error: unknown, context: RunContext): Promise<unknown> {
  const { plan } = journal;
  const resume = `lifeboat emergency-restore restore --resume --target ${plan.target}`;
  if (error instanceof AbortedError || context.signal.aborted) {
    context.emit({ type: 'warning', message: `${stateOf(loaded, journal)}; to go on: ${resume}` });
    return error;
  }
  step.notes.push(messageOf(error));
  await ended(loaded, file, journal, step, 'failed', context).catch((cause: unknown) => context.emit({ type: 'warning', message: messageOf(cause) }));
  const known = error instanceof LifeboatError ? error : undefined;
  const other = known?.code === 'integrity' ? await otherBackup(loaded, repository, plan, context) : undefined;
  const hints = [known?.hint, step.name === 'safety-backup' ? `without it: ${resume} --no-backup` : undefined, other ?? `then go on: ${resume}`];
  return new LifeboatError(known?.code ?? 'source', `the emergency restore stopped at "${step.title}": ${messageOf(error)}`, {
    state: [known?.state, stateOf(loaded, journal)].filter((each) => each !== undefined).join('; '),
    hint: hints.filter((each) => each !== undefined).join('; '),
    cause: error,
    facts: { journal: file.path, step: step.name },
  });
}

async function otherBackup(loaded: LoadedConfig, repository: Repository, plan: EmergencyPlan, context: RunContext): Promise<string | undefined> {
  const { found } = await newestWhole(repository, loaded.config, { target: plan.target, only: plan.components }, context, { besides: [plan.id] }).catch(() => ({ found: undefined }));
  return found === undefined ? undefined : `the backup may be damaged; the newest other one that is whole: lifeboat emergency-restore restore ${found.id}`;
}

/** "done: …; services are stopped". */
function stateOf({ config }: LoadedConfig, { steps, safetyBackupId }: Journal): string {
  const done = steps.filter(({ state }) => state === 'done');
  const isDone = (name: string): boolean => done.some((step) => step.name === name);
  const parts = [done.length === 0 ? 'nothing was changed' : `done: ${done.map(({ name }) => name).join(', ')}`, ...done.flatMap(({ notes }) => notes)];
  if (safetyBackupId !== undefined) parts.push(`what was there is backup ${safetyBackupId}`);
  if (isDone('stop-services') && !isDone('start-services')) parts.push(`services are stopped${config.emergency.startServices === undefined ? '' : `; to start them: ${config.emergency.startServices.join(' ')}`}`);
  return parts.join('; ');
}

function unknownBackup(id: string): never {
  throw new LifeboatError('integrity', `the manifest of ${id} cannot be read any more`, { state: 'nothing was changed' });
}
