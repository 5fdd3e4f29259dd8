/**
 * Are the stored bytes what the manifest says? quick: every object is there, with its size, and the small
 * ones have their hashes. stored: every byte is authenticated, each pack once. deep: every archive is read
 * to its end, too. What is found is told with all it touches, and each backup gets its evidence.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { exitCodeOf, exitCodeWarnings, LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Repository } from '../../repository/repository.ts';
import { noteWarnings } from '../warnings.ts';
import { acquireReadLease } from '../read-lease.ts';
import { withReadRepository } from '../open-repository.ts';
import type { ValidateOptions, ValidateRequest, ValidateResult } from './request.ts';
import { chooseBackups } from './choose.ts';
import { DamageBook } from './damage.ts';
import { dropDeleted, recordEvidence, touchedOthers } from './evidence.ts';
import type { OpenBackup } from './objects.ts';
import { tellDamage } from './report.ts';
import { Validation } from './stages.ts';
import type { Operation } from '../operation.ts';
import { given, repositoryNeeds } from '../complete.ts';

export const validateOperation: Operation<ValidateOptions, ValidateRequest, ValidateResult> = {
  command: 'validate',
  need: () => repositoryNeeds,
  complete: (options) => ({ ids: [], all: false, level: 'stored', ...given(options) }),
  run: validate,
  exitCode: ({ damaged, backups, warnings }) => {
    if (damaged.length > 0) return exitCodeOf.integrity;
    if (backups.some(({ result }) => result === 'unchecked')) return exitCodeOf.key;
    return warnings.length > 0 ? exitCodeWarnings : 0;
  },
};

/**
 * Damage is in the result, not thrown. Throws `not_found`, `key`, `tool` (deep, without a pg_restore that fits),
 * `storage`.
 */
export async function validate(
  loaded: LoadedConfig,
  request: ValidateRequest,
  context: RunContext,
): Promise<ValidateResult> {
  return withReadRepository(loaded, context, async (repository) =>
    validateRepository(repository, request, loaded.config.jobs, context),
  );
}

/** The same for an open repository; up to `jobs` packs are read side by side. */
export async function validateRepository(
  repository: Repository,
  request: ValidateRequest,
  jobs: number,
  told: RunContext,
): Promise<ValidateResult> {
  refuseContradictions(request);
  const lost = new AbortController();
  const { context, warnings } = noteWarnings({ ...told, signal: AbortSignal.any([told.signal, lost.signal]) });
  const startedMs = Date.now();
  const book = new DamageBook();
  const { backups, unchecked } = await chooseBackups(repository, request, book, context.emit);
  const parents = backups.map(({ id }) => id);
  const onLost = (error: LifeboatError): void => lost.abort(error);
  await using _ = await acquireReadLease(repository, { command: 'validate', parents, onLost }, context);
  const run = new Validation(repository, backups, request, jobs, book, context);
  await run.all();
  const gone = await dropDeleted(repository, backups, book, context);
  const kept = backups.filter(({ id }) => !gone.has(id));
  const judged = [...kept, ...(await touchedOthers(repository, run))];
  const evidence = await recordEvidence(repository, run, judged, startedMs, context);
  const damaged = await tellDamage(repository, book, context.emit);
  return {
    repository: repository.storage.location,
    level: request.level,
    startedAt: new Date(startedMs).toISOString(),
    durationMs: Date.now() - startedMs,
    backups: resultsOf(run, kept, unchecked, evidence),
    counts: run.counts(),
    bytes: run.tally.bytes,
    sample: run.sample,
    damaged,
    warnings: [...warnings],
  };
}

/** Oldest first. */
function resultsOf(
  run: Validation,
  kept: readonly OpenBackup[],
  unchecked: readonly ListedManifest[],
  evidence: ReadonlyMap<string, string | undefined>,
): ValidateResult['backups'] {
  const checked = kept.map(({ id, manifest: { target } }) => {
    const result = run.isDamaged(id) ? ('failed' as const) : ('ok' as const);
    return { id, target, result, evidence: evidence.get(id) };
  });
  const others = unchecked.map(({ id, manifest }) => ({
    id,
    target: manifest?.target ?? '',
    result: 'unchecked' as const,
  }));
  return [...checked, ...others].toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

function refuseContradictions({ ids, all, level, samplePercent }: ValidateRequest): void {
  if (all && ids.length > 0) throw new LifeboatError('usage', 'validate takes ids or --all, not both');
  if (samplePercent === undefined) return;
  if (level !== 'stored') {
    throw new LifeboatError('usage', `a sample cannot be ${level}`, {
      hint: 'a sample reads some of the packs: leave --quick and --deep out',
    });
  }
  if (!(samplePercent > 0 && samplePercent <= 100)) {
    throw new LifeboatError(
      'usage',
      `a sample of ${samplePercent} % is not possible: it must be above 0 and at most 100`,
      { hint: 'write --sample 5%' },
    );
  }
}
