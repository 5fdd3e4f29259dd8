/**
 * Takes a backup: probe, lease, dump into packs and indexes, check what was stored, and then the
 * manifest, which is the commit point: before it nothing is visible, after it the backup exists.
 */
import { availableParallelism, hostname } from 'node:os';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { abortAfter } from '../../lib/long-timer.ts';
import { programVersion } from '../../lib/version.ts';
import { auditHead, type AuditHead } from '../../repository/audit.ts';
import { BackupWriter } from '../../repository/packs/backup-writer.ts';
import { newBackupId } from '../../repository/manifests/ids.ts';
import { acquireLease, type Lease } from '../../repository/leases/lease.ts';
import type { ManifestDraft } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { requireObjectLock } from '../../repository/retained-storage.ts';
import type { SealingKey } from '../../repository/keys/sealed-records.ts';
import type { SourceInfo } from '../../source/source.ts';
import { audited } from '../audit/audited.ts';
import { refuseTooMany } from './limit.ts';
import { completeBase, requireWal } from './base-wal.ts';
import { checkDump, dumpComponents, type DumpedComponent } from './dump.ts';
import { factsDocument } from '../backup-facts.ts';
import { noteWarnings } from '../warnings.ts';
import { collectLeftovers, repositoryLocation, withRepository } from '../open-repository.ts';
import { findAncestry, readParents, type Ancestry } from './parents.ts';
import { backupDefaults, type BackupOptions, type BackupRequest, type BackupResult } from './request.ts';
import type { BackupType, Operation } from '../operation.ts';
import { refreshRunbook, runbookOf } from './runbook-text.ts';
import { remembered } from './history.ts';
import { summaryOf } from '../component.ts';
import { chooseTarget, sourcesOf, type ComponentSource } from '../targets.ts';
import { given, targetNeeds } from '../complete.ts';

interface Plan {
  readonly loaded: LoadedConfig;
  readonly request: BackupRequest;
  readonly target: string;
  readonly type: BackupType;
  readonly components: readonly ComponentSource[];
  readonly infos: ReadonlyMap<string, SourceInfo>;
}

export const backup = audited('backup', remembered(takeBackup));

export const backupOperation: Operation<BackupOptions, BackupRequest, BackupResult> = {
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
    );
    const lost = new AbortController();
    const working: RunContext = { ...watched, signal: AbortSignal.any([watched.signal, lost.signal]) };
    const lease = await leaseFor(repository, plan, ancestry, working, (error) => lost.abort(error));
    if (typeof lease === 'string') return { outcome: 'skipped', target: plan.target, reason: lease };
    await using _ = lease;
    await refuseTooMany(repository.storage, lease, loaded.config.maxConcurrentBackups);
    await requireWalOf(plan, repository, working);
    return await runBackup(plan, repository, key, ancestry, lease, warnings, working);
  });
}

/** What would be backed up, from where; changes nothing. */
async function planBackup(loaded: LoadedConfig, request: BackupRequest, context: RunContext): Promise<Plan> {
  const target = chooseTarget(loaded, request.target);
  const components = await sourcesOf(loaded.config, target, request.components);
  const infos = await Promise.all(
    components.map(async ({ name, source }) => [name, await source.probe(context)] as const),
  );
  const [only] = request.components;
  const type = request.components.length === 1 && only !== undefined ? only : 'full';
  return { loaded, request, target: target.name, type, components, infos: new Map(infos) };
}

function planned({ loaded, target, type, components, infos }: Plan): BackupResult {
  const location = repositoryLocation(loaded);
  return {
    outcome: 'planned',
    target,
    type,
    repository: location.kind === 'local' ? `file://${location.path}` : `s3://${location.bucket}/${location.prefix}`,
    components: components.map(({ name, source }) => ({ name, kind: source.kind, ...(infos.get(name) as SourceInfo) })),
  };
}

function refuseFatal({ infos }: Plan): void {
  const fatal = [...infos.values()].flatMap(({ problems }) => problems).filter((problem) => problem.fatal);
  const [first, ...others] = fatal;
  if (first === undefined) return;
  throw new LifeboatError('source', [first, ...others].map(({ message }) => message).join('; '), {
    hint: first.hint,
    state: 'no backup was made',
  });
}

/** Before the hours that a base backup may take. */
async function requireWalOf(
  { components, infos, loaded, target }: Plan,
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
  { target, request }: Plan,
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

async function runBackup(
  plan: Plan,
  repository: Repository,
  key: SealingKey,
  ancestry: Ancestry,
  lease: Lease,
  warnings: readonly string[],
  context: RunContext,
): Promise<BackupResult> {
  const { config } = plan.loaded;
  const started = new Date();
  const id = newBackupId(plan.target, plan.type, started, ancestry.previous?.id);
  context.emit({
    type: 'step',
    message: `backup ${id} of ${plan.components.map(({ name }) => name).join(', ')} to ${repository.storage.location}`,
  });
  const writer = new BackupWriter({
    storage: repository.storage,
    repositoryId: repository.repositoryId,
    backupId: id,
    dataKey: key.dataKey,
    compression: config.compression,
    hangTimeoutMs: config.hangTimeoutMs,
    maxStoredBytes: config.maxBackupBytes,
    parent: await readParents(repository, ancestry.parents, context.emit),
    compressors: Math.max(2, availableParallelism()),
    context,
  });
  try {
    const versions = new Map([...plan.infos].map(([name, info]) => [name, info.serverVersion]));
    const streamed = await dumpComponents(plan.components, writer, config.jobs, versions, context);
    await writer.flush();
    for (const component of streamed) await checkDump(repository.storage, key.dataKey, component);
    const dumped: DumpedComponent[] = [];
    for (const component of streamed) dumped.push(await completeBase(repository, key.dataKey, component, context));
    const sealed = await writer.finish(
      factsDocument(
        dumped.map(({ entry, facts }) => ({ name: entry.name, kind: entry.kind, facts })),
        runbookOf(plan.loaded, plan.target),
      ),
    );
    if (key.dataKey !== undefined) await repository.copyKeyFile(id, key.dataKey.id.toString('hex'));
    const head = await knownAuditHead(repository);
    const draft: ManifestDraft = {
      id,
      target: plan.target,
      type: plan.type,
      ...(plan.request.label === undefined ? {} : { label: plan.request.label }),
      ...(plan.request.tags.length === 0 ? {} : { tags: [...plan.request.tags] }),
      host: hostname(),
      versions: { lifeboat: programVersion(), node: process.versions.node },
      startedAt: started.toISOString(),
      finishedAt: new Date().toISOString(),
      warnings: warnings.length,
      ...(ancestry.previous === undefined ? {} : { previous: ancestry.previous }),
      ...(head === undefined ? {} : { head }),
      ...sealed,
      components: dumped.map(({ entry }) => entry),
    };
    context.signal.throwIfAborted();
    const stillHolds = async (): Promise<void> => {
      await lease.check();
      await writer.checkPacks();
    };
    // The commit point. Checked before and after it: a cleanup elsewhere that passed over our lease may have deleted
    // what we name. From here on nothing but such a loss makes the run a failure: what goes wrong is a warning.
    await repository.publishManifest(draft, key, stillHolds, (message) => context.emit({ type: 'warning', message }));
    await refreshRunbook(plan.loaded, context);
    return done(draft, dumped, plan, repository, ancestry, warnings);
  } finally {
    await writer.close();
  }
}

/**
 * How far this host's audit log has come: a manifest that says so keeps its end from being cut off. A host that may not
 * look at the log does without.
 */
async function knownAuditHead(repository: Repository): Promise<AuditHead | undefined> {
  return auditHead(repository).catch((error: unknown) => {
    if (!(error instanceof LifeboatError) || !['storage', 'not_found'].includes(error.code)) throw error;
    return undefined;
  });
}

function done(
  draft: ManifestDraft,
  dumped: readonly DumpedComponent[],
  plan: Plan,
  repository: Repository,
  ancestry: Ancestry,
  warnings: readonly string[],
): BackupResult {
  return {
    outcome: 'done',
    id: draft.id,
    target: plan.target,
    type: plan.type,
    repository: repository.storage.location,
    startedAt: draft.startedAt,
    finishedAt: draft.finishedAt,
    durationMs: Date.parse(draft.finishedAt) - Date.parse(draft.startedAt),
    encrypted: repository.encryption !== 'none',
    previousId: ancestry.parents[0],
    components: dumped.map(({ entry, facts }) => ({
      name: entry.name,
      kind: entry.kind,
      serverVersion: entry.serverVersion,
      readBytes: entry.readBytes,
      newBytes: entry.newBytes,
      storedBytes: entry.storedBytes,
      durationMs: Date.parse(entry.finishedAt) - Date.parse(entry.startedAt),
      summary: summaryOf(entry.kind, facts),
    })),
    warnings,
  };
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
