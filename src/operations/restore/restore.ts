/**
 * Restores parts of a backup. Everything is planned before anything is touched: what goes where, what it
 * replaces, and whether that is allowed; what is replaced is saved first. Each part becomes visible only
 * when it is complete and compared with what the backup recorded.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { openArtifacts } from '../../repository/packs/artifact-reader.ts';
import type { ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { safetyTag } from '../../repository/retention/backups.ts';
import { audited } from '../audit/audited.ts';
import { hooked } from '../hooks/hooked.ts';
import { backup } from '../backup/backup.ts';
import { chooseBackup, type ChosenBackup } from '../choose-backup.ts';
import { readComponentFacts } from '../backup-facts.ts';
import { noteWarnings } from '../warnings.ts';
import { collectLeftovers, withReadRepository } from '../open-repository.ts';
import { acquireReadLease } from '../read-lease.ts';
import type { ComponentName, Operation } from '../operation.ts';
import type { RestoredComponent, RestoreOptions, RestoreRequest, RestoreResult } from './request.ts';
import type { MarkedRestoreRequest } from './marks.ts';
import type { RestoreStep, RestoreSubject } from './step.ts';
import { componentOf } from '../component.ts';
import { targetNeeds } from '../complete.ts';
import { completeRestore } from './complete.ts';

export const restore = audited('restore', hooked('restore', restoreBackup));

export const restoreOperation: Operation<RestoreOptions, RestoreRequest, RestoreResult> = {
  command: 'restore',
  need: targetNeeds,
  complete: completeRestore,
  run: restore,
};

async function restoreBackup(
  loaded: LoadedConfig,
  request: MarkedRestoreRequest,
  context: RunContext,
): Promise<RestoreResult> {
  const { context: watched, warnings } = noteWarnings(context);
  collectLeftovers(loaded, watched);
  const started = new Date();
  return withReadRepository(loaded, watched, async (repository) => {
    const { id, target = loaded.config.defaultTarget, force, only } = request;
    const chosen = await chooseBackup(repository, { id, target, force, only }, watched.emit);
    const { manifest } = chosen;
    const lease = { scope: `restore-${manifest.target}`, command: 'restore', parents: [manifest.id] } as const;
    await using _ = await acquireReadLease(repository, lease, watched);
    const steps = await plan(loaded, request, repository, chosen, started, watched);
    if (request.dryRun) {
      return {
        outcome: 'planned',
        id: manifest.id,
        target: manifest.target,
        steps: steps.map(({ component, to, action, bytes }) => ({ component, to, action, bytes })),
        warnings,
      };
    }
    await confirmAll(request, chosen, steps, watched);
    const safetyBackupId = await saveWhatIsReplaced(loaded, request, manifest.target, manifest.id, steps, watched);
    const components: RestoredComponent[] = [];
    for (const step of steps) components.push(await runStep(step, components, watched));
    return {
      outcome: 'done',
      id: manifest.id,
      target: manifest.target,
      startedAt: started.toISOString(),
      durationMs: Date.now() - started.getTime(),
      components,
      safetyBackupId,
      warnings,
    };
  });
}

async function plan(
  loaded: LoadedConfig,
  request: MarkedRestoreRequest,
  repository: Repository,
  { listed, manifest }: ChosenBackup,
  at: Date,
  context: RunContext,
): Promise<RestoreStep[]> {
  const isVouchedFor = await repository.vouchesFor(listed);
  const facts = await readComponentFacts(repository, manifest);
  const dataKey = await repository.dataKeyOf(manifest);
  const steps: RestoreStep[] = [];
  for (const component of wantedComponents(manifest.components, request.only, manifest.id)) {
    const { storage } = repository;
    const reader = openArtifacts({ storage, dataKey, artifacts: component.artifacts, trustChecksums: true });
    const { config } = loaded;
    const target = config.targets.get(manifest.target);
    const what = { manifest, isVouchedFor, component, facts, reader };
    const subject: RestoreSubject = { config, target, request, ...what, at };
    steps.push(...(await planComponent(subject, context)));
  }
  return steps;
}

function wantedComponents(
  components: readonly ManifestComponent[],
  only: readonly ComponentName[],
  id: string,
): readonly ManifestComponent[] {
  const missing = only.find((name) => !components.some(({ kind }) => componentOf(kind) === name));
  if (missing !== undefined) {
    throw new LifeboatError('not_found', `backup ${id} has no ${missing}`, {
      state: 'nothing was changed',
      hint: `it has: ${components.map(({ name }) => name).join(', ')}`,
    });
  }
  return components.filter(({ kind }) => only.length === 0 || only.includes(componentOf(kind)));
}

async function planComponent(subject: RestoreSubject, context: RunContext): Promise<RestoreStep[]> {
  const { kind, name } = subject.component;
  if (kind === 'postgres') return (await import('./databases.ts')).planDatabases(subject, context);
  if (kind === 'redis') return (await import('./redis.ts')).planRedis(subject, context);
  if (kind === 'files') return (await import('./files.ts')).planFiles(subject);
  throw new LifeboatError('usage', `${name} is not restored by this command`, {
    state: 'nothing was changed',
    hint: 'a base backup is restored by: lifeboat pitr',
  });
}

/** One question for everything that is replaced: by its own name if it is one thing, else by the target's. */
async function confirmAll(
  request: MarkedRestoreRequest,
  { manifest }: ChosenBackup,
  steps: readonly RestoreStep[],
  { emit }: RunContext,
): Promise<void> {
  const replaced = steps.flatMap(({ replaces }) => replaces ?? []);
  const [first, ...others] = replaced;
  if (first === undefined) return;
  const consequences = replaced.flatMap((each) => each.consequences);
  if (request.force && request.id === manifest.id) {
    emit({ type: 'warning', message: `--force: not asked whether ${consequences.join('; ')}` });
    return;
  }
  const { target } = manifest;
  await request.confirm({ name: others.length === 0 ? first.name : target, wider: target, consequences });
}

/** A backup of what the steps replace; its id, or undefined where none is wanted or needed. */
export async function saveWhatIsReplaced(
  loaded: LoadedConfig,
  request: Pick<MarkedRestoreRequest, 'safetyBackup'>,
  target: string,
  id: string,
  steps: readonly Pick<RestoreStep, 'replaces'>[],
  context: RunContext,
): Promise<string | undefined> {
  const components = [...new Set(steps.flatMap(({ replaces }) => replaces?.saveBy ?? []))];
  if (!request.safetyBackup || components.length === 0) return undefined;
  context.emit({
    type: 'step',
    message: `saving what is there (${components.join(', ')}) by a backup first; --no-backup leaves it out`,
  });
  try {
    const label = `before the restore of ${id}`;
    const ifRunning = { action: 'wait', waitMs: 600_000 } as const;
    const wanted = { target, components, label, tags: [safetyTag], ifRunning, acceptNewSystem: true, dryRun: false };
    const result = await backup(loaded, wanted, context);
    return result.outcome === 'done' ? result.id : undefined;
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error;
    throw new LifeboatError(error.code, `the backup of what is there failed: ${error.message}`, {
      state: 'nothing was changed',
      hint: `if it cannot be saved (${error.hint ?? 'see above'}): --no-backup`,
      cause: error,
      facts: error.facts,
    });
  }
}

/** A later part that fails does not take back the earlier ones; the error says what is done already. */
export async function runStep(
  step: RestoreStep,
  before: readonly RestoredComponent[],
  context: RunContext,
): Promise<RestoredComponent> {
  try {
    return await step.run(context);
  } catch (error) {
    const done = before.flatMap(whatStays).join(', ');
    if (done === '' || !(error instanceof LifeboatError)) throw error;
    throw error.withState(error.state === undefined ? done : `${done}; ${error.state}`);
  }
}

/** Of a part that is done, whatever becomes of the rest. */
function whatStays({ name, to, created }: RestoredComponent): string[] {
  if (created === undefined) return [`${name} is restored to ${to}`];
  return created.length === 0 ? [] : [`${to} keeps what was created there: ${created.join(', ')}`];
}
