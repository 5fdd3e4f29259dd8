/**
 * Takes a backup: probe, lease, dump into packs and indexes, check what was stored, and then the
 * manifest, which is the commit point: before it nothing is visible, after it the backup exists.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { repositoryUrl } from '../../config/repository-place.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { abortAfter } from '../../lib/long-timer.ts';
import { acquireLease } from '../../repository/leases/acquire.ts';
import type { Lease } from '../../repository/leases/lease.ts';
import type { Repository } from '../../repository/repository.ts';
import { requireObjectLock } from '../../repository/retained-storage.ts';
import type { SourceInfo } from '../../source/source.ts';
import { audited } from '../audit/audited.ts';
import { hooked } from '../hooks/hooked.ts';
import { refuseTooMany } from './limit.ts';
import { requireWal } from './base-wal.ts';
import { expectCluster } from './expected-cluster.ts';
import { noteWarnings } from '../warnings.ts';
import { collectLeftovers, repositoryLocation, withRepository } from '../open-repository.ts';
import { findAncestry, type Ancestry } from './parents.ts';
import { backupDefaults, type BackupOptions, type BackupRequest, type BackupResult } from './request.ts';
import type { Operation } from '../operation.ts';
import { remembered } from './history.ts';
import { runPatiently } from './begin-anew.ts';
import type { BackupPlan } from './run-backup.ts';
import { chooseTarget, sourcesOf, type ComponentSource } from '../targets.ts';
import { given, targetNeeds } from '../complete.ts';

export const backup = audited('backup', remembered(hooked('backup', takeBackup)));

export const backupOperation: Operation<BackupOptions, BackupRequest, BackupResult> = {
  command: 'backup',
  need: targetNeeds,
  // What was asked for stands first: the audit log shows it in this order.
  complete: (options) => ({ ...given(options), ...backupDefaults, ...given(options) }),
  run: backup,
};

async function takeBackup(loaded: LoadedConfig, request: BackupRequest, context: RunContext): Promise<BackupResult> {
  const limits = request.timeoutMs === undefined ? [context.signal] : [context.signal, timeLimit(request.timeoutMs)];
  const { context: watched, warnings } = noteWarnings({ ...context, signal: AbortSignal.any(limits) });
  collectLeftovers(loaded, watched);
  const plan = await planBackup(loaded, request, watched);
  if (request.dryRun) return planned(plan);
  refuseFatal(plan);
  return withRepository(loaded, watched, async (repository) => {
    requireObjectLock(repository.storage, repositoryLocation(loaded));
    const key = await repository.writeKey();
    const ancestry = await findAncestry(
      repository,
      plan.target,
      plan.components.map(({ source }) => source.kind),
      key.dataKey?.id.toString('hex'),
      watched.emit,
    );
    const lost = new AbortController();
    const working: RunContext = { ...watched, signal: AbortSignal.any([watched.signal, lost.signal]) };
    const lease = await leaseFor(repository, plan, ancestry, working, (error) => lost.abort(error));
    if (typeof lease === 'string') return { outcome: 'skipped', target: plan.target, reason: lease };
    await using _ = lease;
    await refuseTooMany(repository.storage, lease, loaded.config.maxConcurrentBackups);
    const remember = await expectClusterOf(plan, repository);
    await requireWalOf(plan, repository, working);
    const run = { plan, repository, key, ancestry, lease, warnings };
    const result = await runPatiently(run, () => componentsOf(loaded, request), working);
    // The backup exists: what goes wrong from here on is a warning.
    await remember?.().catch((error: unknown) =>
      watched.emit({ type: 'warning', message: `this backup's cluster is not remembered: ${messageOf(error)}` }),
    );
    return result;
  });
}

/** What would be backed up, from where; changes nothing. */
async function planBackup(loaded: LoadedConfig, request: BackupRequest, context: RunContext): Promise<BackupPlan> {
  const target = chooseTarget(loaded, request.target);
  const components = await componentsOf(loaded, request);
  const infos = await Promise.all(
    components.map(async ({ name, source }) => [name, await source.probe(context)] as const),
  );
  const [only] = request.components;
  const type = request.components.length === 1 && only !== undefined ? only : 'full';
  return { loaded, request, target: target.name, type, components, infos: new Map(infos) };
}

async function componentsOf(loaded: LoadedConfig, request: BackupRequest): Promise<ComponentSource[]> {
  const target = chooseTarget(loaded, request.target);
  if (request.withoutRows !== undefined && target.postgres === undefined) {
    throw new LifeboatError('usage', `target ${target.name} has no database to leave rows out of`, {
      state: 'no backup was made',
    });
  }
  const postgres = target.postgres && {
    ...target.postgres,
    yieldToDdl: request.yieldToDdl ?? target.postgres.yieldToDdl,
  };
  return sourcesOf(loaded.config, { ...target, postgres }, request.components, request);
}

function planned({ loaded, target, type, components, infos }: BackupPlan): BackupResult {
  const location = repositoryLocation(loaded);
  return {
    outcome: 'planned',
    target,
    type,
    repository: repositoryUrl(location),
    components: components.map(({ name, source }) => ({ name, kind: source.kind, ...(infos.get(name) as SourceInfo) })),
  };
}

function refuseFatal({ infos }: BackupPlan): void {
  const fatal = [...infos.values()].flatMap(({ problems }) => problems).filter((problem) => problem.fatal);
  const [first, ...others] = fatal;
  if (first === undefined) return;
  throw new LifeboatError('source', [first, ...others].map(({ message }) => message).join('; '), {
    hint: first.hint,
    state: 'no backup was made',
  });
}

/** A server that does not say whose it is passes: it cannot be told. */
async function expectClusterOf(
  { infos, loaded, request, target }: BackupPlan,
  repository: Repository,
): Promise<(() => Promise<void>) | undefined> {
  const systemId = [...infos.values()]
    .map(({ identity }) => identity['systemIdentifier'])
    .find((id) => id !== undefined);
  if (systemId === undefined) return undefined;
  const { stateDir } = loaded.config;
  return expectCluster(repository, { stateDir, target, systemId, accept: request.acceptNewSystem === true });
}

/** Before the hours that a base backup may take. */
async function requireWalOf(
  { components, infos, loaded, target }: BackupPlan,
  repository: Repository,
  context: RunContext,
): Promise<void> {
  const base = components.find(({ component }) => component === 'base');
  const url = loaded.config.targets.get(target)?.postgres?.url;
  const systemId = base === undefined ? undefined : infos.get(base.name)?.identity['systemIdentifier'];
  if (systemId === undefined || url === undefined) return;
  const { switchWal } = await import('../../source/postgres/base/source.ts');
  await requireWal(repository, systemId, async () => switchWal(url, context.signal), context);
}

/** The lease of the target's backups, or the reason why this run is skipped. */
async function leaseFor(
  repository: Repository,
  { target, request }: BackupPlan,
  { parents }: Ancestry,
  { signal }: RunContext,
  onLost: (error: LifeboatError) => void,
): Promise<Lease | string> {
  const { ifRunning } = request;
  try {
    return await acquireLease(repository.storage, {
      scope: `backup-${target}`,
      command: 'backup',
      parents,
      signal,
      onLost,
      waitMs: ifRunning.action === 'wait' ? ifRunning.waitMs : 0,
    });
  } catch (error) {
    if (ifRunning.action === 'skip' && error instanceof LifeboatError && error.code === 'locked') return error.message;
    throw error;
  }
}

function timeLimit(timeoutMs: number): AbortSignal {
  const error = new LifeboatError(
    'source',
    `the backup took longer than ${Math.round(timeoutMs / 1000)} s, the limit that is set`,
    {
      state: 'no backup was recorded',
      hint: 'raise --timeout, or find out what slows it down: lifeboat backup --debug',
      retryable: true,
    },
  );
  return abortAfter(timeoutMs, error);
}
