/** `lifeboat integrity`: the repository as a whole, every object of it accounted for, while nothing is taken away. */
import type { LoadedConfig } from '../../config/load.ts';
import type { RunContext } from '../../lib/events.ts';
import { noteWarnings } from '../warnings.ts';
import { acquireReadLease } from '../read-lease.ts';
import { withRepository } from '../open-repository.ts';
import { Accounting } from './account.ts';
import { readLogShare } from './log.ts';
import type { IntegrityOptions, IntegrityRequest, RepositoryAccount } from './request.ts';
import type { Operation } from '../operation.ts';
import { given, repositoryNeeds } from '../complete.ts';
import { exitCodeOf, exitCodeWarnings } from '../../lib/errors.ts';

export const integrityDefaults = { logPercent: 15 } as const satisfies IntegrityOptions;

export const integrityOperation: Operation<IntegrityOptions, IntegrityRequest, RepositoryAccount> = {
  command: 'integrity',
  need: () => repositoryNeeds,
  complete: (options) => ({ ...integrityDefaults, ...given(options) }),
  run: accountRepository,
  exitCode: ({ findings, orphans, warnings }) => {
    if (findings.some(({ weight }) => weight === 'fault')) return exitCodeOf.integrity;
    return findings.length + orphans.count + warnings.length > 0 ? exitCodeWarnings : 0;
  },
};

/** Findings are in the result, not thrown. */
export async function accountRepository(
  loaded: LoadedConfig,
  { logPercent }: IntegrityRequest,
  told: RunContext,
): Promise<RepositoryAccount> {
  return withRepository(loaded, told, async (repository) => {
    const lost = new AbortController();
    const { context, warnings } = noteWarnings({ ...told, signal: AbortSignal.any([told.signal, lost.signal]) });
    const startedMs = Date.now();
    const parents: string[] = [];
    for await (const { id } of repository.listManifests()) parents.push(id);
    await using lease = await acquireReadLease(
      repository,
      { command: 'integrity', parents, onLost: (error) => lost.abort(error) },
      context,
    );
    const accounting = new Accounting(
      repository,
      { nowMs: lease?.sinceMs ?? startedMs, youngMs: loaded.config.trashMs },
      context,
    );
    await accounting.run([...loaded.config.targets.keys()]);
    const log = await readLogShare(repository, { logPercent, jobs: loaded.config.jobs }, accounting.ledger, context);
    return {
      repository: repository.storage.location,
      startedAt: new Date(startedMs).toISOString(),
      durationMs: Date.now() - startedMs,
      objects: accounting.objects(),
      orphans: accounting.orphans,
      young: accounting.young,
      log,
      findings: accounting.ledger.findings(),
      counts: accounting.ledger.counts(),
      warnings: [...warnings],
    };
  });
}
