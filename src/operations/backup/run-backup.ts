/**
 * A backup under its lease: dumped into packs and indexes, checked as it was stored, and then the manifest, which is
 * the commit point.
 */
import { availableParallelism, hostname } from 'node:os';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { programVersion } from '../../lib/version.ts';
import type { AuditHead } from '../../repository/audit-names.ts';
import { auditHead } from '../../repository/audit.ts';
import { DamagedStateError } from '../../repository/state-file.ts';
import { BackupWriter } from '../../repository/packs/backup-writer.ts';
import { newBackupId } from '../../repository/manifests/ids.ts';
import type { Lease } from '../../repository/leases/lease.ts';
import type { ManifestDraft } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import type { SealingKey } from '../../repository/keys/sealed-records.ts';
import type { SourceInfo } from '../../source/source.ts';
import { quiesced } from '../hooks/quiesce.ts';
import { completeBase } from './base-wal.ts';
import { checkDump, dumpComponents, type DumpedComponent } from './dump.ts';
import { factsDocument } from '../backup-facts.ts';
import { readParents, type Ancestry } from './parents.ts';
import type { BackupRequest, BackupResult } from './request.ts';
import type { BackupType } from '../operation.ts';
import { refreshRunbook, runbookOf } from './runbook-text.ts';
import { summaryOf } from '../component.ts';
import type { ComponentSource } from '../targets.ts';

export interface BackupPlan {
  readonly loaded: LoadedConfig;
  readonly request: BackupRequest;
  readonly target: string;
  readonly type: BackupType;
  readonly components: readonly ComponentSource[];
  readonly infos: ReadonlyMap<string, SourceInfo>;
}

/** What a backup is made with, from its lease on. */
export interface BackupRun {
  readonly plan: BackupPlan;
  readonly repository: Repository;
  readonly key: SealingKey;
  readonly ancestry: Ancestry;
  readonly lease: Lease;
  /** Grows as it goes. */
  readonly warnings: readonly string[];
}

/** Throws what the sources and the storage throw; nothing is visible then. */
export async function runBackup(run: BackupRun, context: RunContext): Promise<BackupResult> {
  const { plan, repository, key, ancestry, lease } = run;
  const { config } = plan.loaded;
  const started = new Date();
  const id = newBackupId(plan.target, plan.type, started, ancestry.previous?.id);
  const names = plan.components.map(({ name }) => name).join(', ');
  context.emit({ type: 'step', message: `backup ${id} of ${names} to ${repository.storage.location}` });
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
    const dumped = await dumpAndCheck(run, writer, context);
    const documents = dumped.map(({ entry, facts }) => ({ name: entry.name, kind: entry.kind, facts }));
    const sealed = await writer.finish(factsDocument(documents, runbookOf(plan.loaded, plan.target)));
    if (key.dataKey !== undefined) await repository.copyKeyFile(id, key.dataKey.id.toString('hex'));
    const head = await knownAuditHead(repository, context);
    const components = dumped.map(({ entry }) => entry);
    const draft: ManifestDraft = { ...headOf(run, id, started, head), ...sealed, components };
    context.signal.throwIfAborted();
    const stillHolds = async (): Promise<void> => {
      await lease.check();
      await writer.checkPacks();
    };
    // The commit point. Checked before and after it: a cleanup elsewhere that passed over our lease may have deleted
    // what we name. From here on nothing but such a loss makes the run a failure: what goes wrong is a warning.
    await repository.publishManifest(draft, key, stillHolds, (message) => context.emit({ type: 'warning', message }));
    await refreshRunbook(plan.loaded, context);
    return done(draft, dumped, run);
  } finally {
    await writer.close();
  }
}

/** All components in packs, and what was stored checked. */
async function dumpAndCheck(
  { plan, repository, key }: BackupRun,
  writer: BackupWriter,
  context: RunContext,
): Promise<DumpedComponent[]> {
  const versions = new Map([...plan.infos].map(([name, info]) => [name, info.serverVersion]));
  const { jobs } = plan.loaded.config;
  const streamed = await quiesced(plan.loaded, plan.target, context, async (onHeld) =>
    dumpComponents(plan.components, writer, jobs, versions, context, onHeld),
  );
  await writer.flush();
  for (const component of streamed) await checkDump(repository.storage, key.dataKey, component);
  const dumped: DumpedComponent[] = [];
  for (const component of streamed) dumped.push(await completeBase(repository, key.dataKey, component, context));
  return dumped;
}

function headOf(
  { plan, ancestry: { previous }, warnings }: BackupRun,
  id: string,
  started: Date,
  head: AuditHead | undefined,
): Omit<ManifestDraft, 'components' | keyof Sealed> {
  const { label, tags } = plan.request;
  return {
    id,
    target: plan.target,
    type: plan.type,
    ...(label === undefined ? {} : { label }),
    ...(tags.length === 0 ? {} : { tags: [...tags] }),
    host: hostname(),
    versions: { lifeboat: programVersion(), node: process.versions.node },
    startedAt: started.toISOString(),
    finishedAt: new Date().toISOString(),
    warnings: warnings.length,
    ...(previous === undefined ? {} : { previous }),
    ...(head === undefined ? {} : { head }),
  };
}

type Sealed = Awaited<ReturnType<BackupWriter['finish']>>;

/**
 * How far this host's audit log has come: a manifest that says so keeps its end from being cut off. A host that may not
 * look at the log does without, and so does one that remembers it no more: it says so.
 */
async function knownAuditHead(repository: Repository, { emit }: RunContext): Promise<AuditHead | undefined> {
  return auditHead(repository).catch((error: unknown) => {
    if (error instanceof DamagedStateError) {
      emit({
        type: 'warning',
        message: `this backup does not say how far the audit log had come: ${messageOf(error)}`,
      });
      return undefined;
    }
    if (!(error instanceof LifeboatError) || !['storage', 'not_found'].includes(error.code)) throw error;
    return undefined;
  });
}

function done(
  draft: ManifestDraft,
  dumped: readonly DumpedComponent[],
  { plan, repository, ancestry, warnings }: BackupRun,
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
      flaws: entry.flaws,
      summary: summaryOf(entry.kind, facts),
    })),
    warnings,
  };
}
