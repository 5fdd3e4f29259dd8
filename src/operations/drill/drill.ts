/**
 * Does it restore? Backups are restored whole into throwaway servers and folders, compared with what they
 * recorded, and what was found is kept as evidence. Nothing of it stays on this machine. Where a drill is
 * not possible for want of a tool, an extension or space, it says so, and nothing is recorded.
 */
import { randomBytes } from 'node:crypto';
import type { LoadedConfig } from '../../config/load.ts';
import { exitCodeWarnings, LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { openArtifacts } from '../../repository/packs/artifact-reader.ts';
import type { ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { audited } from '../audit/audited.ts';
import { countingReader, drillComponent } from './component.ts';
import { recordDrill, type DrilledPart } from './evidence.ts';
import { DrillRecord, exitCodeOfDrills, type ComponentDrill, type DrillSubject } from './subject.ts';
import { readComponentFacts } from '../backup-facts.ts';
import { noteWarnings } from '../warnings.ts';
import { collectLeftovers, withRepository } from '../open-repository.ts';
import { acquireReadLease } from '../read-lease.ts';
import { chooseBackups } from '../validate/choose.ts';
import { DamageBook } from '../validate/damage.ts';
import type { OpenBackup } from '../validate/objects.ts';
import type { Operation } from '../operation.ts';
import { given, repositoryNeeds } from '../complete.ts';
import type { DrilledBackup, DrillOptions, DrillRequest, DrillResult } from './request.ts';
import { restoreTimeMs } from '../proof/restore-time.ts';

/**
 * What differs is in the result, not thrown. Throws what keeps every drill from being made (`not_found`, `key`,
 * `locked`…).
 */
export const drill = audited('integrity --drill', drillAll, ({ backups }) => ({
  ids: backups.map(({ id }) => id),
  exitCode: exitCodeOfDrills(backups),
  message: messageOfDrills(backups),
}));

export const drillOperation: Operation<DrillOptions, DrillRequest, DrillResult> = {
  command: 'drill',
  need: () => ({ ...repositoryNeeds, drill: true }),
  complete: (options) => ({ ids: [], ...given(options) }),
  run: drill,
  exitCode: ({ backups, warnings }) => exitCodeOfDrills(backups) || (warnings.length > 0 ? exitCodeWarnings : 0),
};

function messageOfDrills(backups: readonly DrilledBackup[]): string | undefined {
  return backups.find(({ result }) => result !== 'proven')?.components.find(({ result }) => result !== 'equal')
    ?.problems[0];
}

async function drillAll(loaded: LoadedConfig, request: DrillRequest, told: RunContext): Promise<DrillResult> {
  const { context, warnings } = noteWarnings(told);
  collectLeftovers(loaded, context);
  const startedMs = Date.now();
  return withRepository(loaded, context, async (repository) => {
    const backups =
      request.pitr === true
        ? await moments(loaded, repository, request, context)
        : await wholeBackups(loaded, repository, request, context);
    return {
      repository: repository.storage.location,
      startedAt: new Date(startedMs).toISOString(),
      durationMs: Date.now() - startedMs,
      backups,
      warnings,
    };
  });
}

async function wholeBackups(
  loaded: LoadedConfig,
  repository: Repository,
  request: DrillRequest,
  context: RunContext,
): Promise<DrilledBackup[]> {
  const backups: DrilledBackup[] = [];
  for (const backup of await choose(repository, request, context)) {
    backups.push(await drillBackup(loaded, repository, backup, context));
  }
  return backups;
}

async function moments(
  loaded: LoadedConfig,
  repository: Repository,
  request: DrillRequest,
  context: RunContext,
): Promise<DrilledBackup[]> {
  const { drillMoments } = await import('./pitr.ts');
  return drillMoments(loaded, repository, request, request.seed ?? randomBytes(4).toString('hex'), context);
}

async function choose(
  repository: Repository,
  { ids, target }: DrillRequest,
  context: RunContext,
): Promise<readonly OpenBackup[]> {
  const book = new DamageBook();
  const { backups, unchecked } = await chooseBackups(
    repository,
    { ids, target, all: false, level: 'deep' },
    book,
    context.emit,
  );
  const [damaged] = book.entries();
  if (damaged !== undefined) {
    // One before it that restores is no answer to the question whether the newest does.
    throw new LifeboatError('integrity', `no drill can be made of ${damaged.object}: ${damaged.problem}`, {
      hint: 'take a new backup; a drill of an earlier one: lifeboat integrity --drill latest~1, or its id',
    });
  }
  for (const { id, reason } of unchecked) {
    context.emit({ type: 'warning', message: `backup ${id} is skipped: ${reason ?? 'no key opens it'}` });
  }
  if (backups.length === 0) {
    throw new LifeboatError('integrity', 'there is no backup that can be trusted to make a drill of', {
      hint: 'lifeboat validate --all tells what is damaged',
    });
  }
  return backups;
}

async function drillBackup(
  loaded: LoadedConfig,
  repository: Repository,
  backup: OpenBackup,
  context: RunContext,
): Promise<DrilledBackup> {
  const { id, manifest, dataKey } = backup;
  context.emit({ type: 'step', message: `drill of ${id}: ${manifest.components.map(({ name }) => name).join(', ')}` });
  await using _ = await acquireReadLease(repository, { command: 'drill', parents: [id] }, context);
  const startedMs = Date.now();
  const parts: DrilledPart[] = [];
  for (const component of manifest.components) {
    const counting = countingReader(
      openArtifacts({ storage: repository.storage, dataKey, artifacts: component.artifacts }),
    );
    const record = new DrillRecord();
    const work = async (inner: RunContext): Promise<void> => {
      const facts = await readComponentFacts(repository, manifest);
      await (
        await drillOf(component)
      )(
        {
          repository,
          config: loaded.config,
          manifest,
          component,
          facts,
          reader: counting.reader,
        } satisfies DrillSubject,
        record,
        inner,
      );
    };
    parts.push({ record, drilled: await drillComponent(component, record, counting.bytes, work, context) });
  }
  const isImpossible = parts.some(({ drilled }) => drilled.result === 'impossible');
  const isFailed = parts.some(({ drilled }) => drilled.result === 'failed');
  // Evidence of a success is one of all components; a failure is one whatever else could not be tried.
  const evidence =
    isImpossible && !isFailed
      ? undefined
      : await recordDrill(repository, backup, parts, { level: 'drill', startedMs, notes: [] }, context);
  const components = parts.map(({ drilled }) => drilled);
  return {
    id,
    target: manifest.target,
    result: isFailed ? 'failed' : isImpossible ? 'impossible' : 'proven',
    durationMs: Date.now() - startedMs,
    restoreMs: restoreTimeMs(components.flatMap(({ steps }) => steps)),
    components,
    evidence,
  };
}

async function drillOf({ kind }: ManifestComponent): Promise<ComponentDrill> {
  if (kind === 'postgres') return (await import('./database.ts')).drillDatabase;
  if (kind === 'redis') return (await import('./redis.ts')).drillRedis;
  if (kind === 'files') return (await import('./files.ts')).drillFiles;
  return (await import('./base.ts')).drillBase;
}
