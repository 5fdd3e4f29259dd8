/**
 * Says of a warning that it is meant to be: status goes on showing it, but it counts no more. A backup's small size is
 * noted in the repository, so that cleanup hears of it too.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { ownIdentity } from '../../lib/process-identity.ts';
import { acquireLease } from '../../repository/leases/acquire.ts';
import { writeNote } from '../../repository/backups/notes.ts';
import { rememberId } from '../../repository/place.ts';
import { readRepositoryInfo, repositoryObject, type Repository } from '../../repository/repository.ts';
import { audited } from '../audit/audited.ts';
import { acknowledgeIncident } from '../notify/acknowledge.ts';
import { keyOfReason } from '../notify/status-sightings.ts';
import { repositoryPlace } from '../../config/repository-place.ts';
import { repositoryLocation, withRepository, withStorage } from '../open-repository.ts';
import { statusDefaults, type AcknowledgeOptions, type AcknowledgeRequest, type AcknowledgeResult } from './request.ts';
import { mayBeAcknowledged } from './status.ts';
import { keepAcknowledged } from './acknowledged.ts';
import { judge } from './judge.ts';
import { survey, type Survey } from './survey.ts';
import type { Operation } from '../operation.ts';
import { given, surveyNeeds } from '../complete.ts';

export const acknowledge = audited('acknowledge', acknowledgeWarning);

export const acknowledgeOperation: Operation<AcknowledgeOptions, AcknowledgeRequest, AcknowledgeResult> = {
  need: () => surveyNeeds,
  complete: (options) => ({ ...statusDefaults, ...given(options) }),
  run: acknowledge,
};

/** Throws `not_found` for a warning that is not there, `usage` for one that cannot be accepted. */
async function acknowledgeWarning(
  loaded: LoadedConfig,
  { warning, reason = '', days }: AcknowledgeRequest,
  context: RunContext,
): Promise<AcknowledgeResult> {
  const { config } = loaded;
  const incident = await acknowledgeIncident(config, warning);
  if (incident !== undefined) return { warning, message: incident.title, reason };
  const accepted = /^repository:(.+)$/.exec(warning)?.[1];
  if (accepted !== undefined) return { warning, message: await acceptRepository(loaded, accepted, context), reason };
  return withRepository(loaded, context, async (repository) => {
    const surveyed = await survey(loaded, repository, undefined, Date.now(), context);
    const found = judge(surveyed, { ...config.monitoring, maxAgeMs: undefined, days });
    const names = found.map(({ id }) => id);
    const meant = found.find(({ id }) => id === warning);
    if (meant === undefined) {
      throw new LifeboatError('not_found', `status has no warning "${warning}" now`, {
        state: 'nothing was changed',
        hint: names.length === 0 ? 'there is nothing to acknowledge' : `it has: ${names.join(', ')}`,
      });
    }
    if (!mayBeAcknowledged(meant)) {
      throw new LifeboatError('usage', `"${warning}" cannot be acknowledged: ${meant.message}`, {
        state: 'nothing was changed',
        hint: `what helps: ${meant.next}`,
      });
    }
    const smallBackup = /^size:(.+)$/.exec(warning)?.[1];
    if (smallBackup !== undefined) await noteSize(repository, smallBackup, context);
    await keepAcknowledged(
      config.stateDir,
      repository.repositoryId,
      warning,
      { at: new Date().toISOString(), by: ownIdentity().user, reason },
      new Set(names),
    );
    await acknowledgeIncident(config, keyOfReason(warning));
    // What is gone, and meant to be, is no longer missed, nor named by the next backup.
    if (warning.startsWith('rollback:')) await forgetVanished(repository, surveyed);
    return { warning, message: meant.message, reason };
  });
}

async function forgetVanished({ seen }: Repository, { past, targets }: Survey): Promise<void> {
  const gone = new Set(past.filter(({ kind }) => kind === 'rollback').flatMap(({ backups }) => backups));
  for (const { name } of targets) await seen.forget(name, gone);
}

/** The place of the configured repository has another one now, with that id, and is to be used. */
async function acceptRepository(loaded: LoadedConfig, id: string, context: RunContext): Promise<string> {
  return withStorage(loaded, context, async (storage) => {
    const found = (await readRepositoryInfo(storage))?.id;
    if (found !== id) {
      throw new LifeboatError('not_found', `the repository at ${storage.location} does not have the id ${id}`, {
        state: 'nothing was changed',
        hint: found === undefined ? `it has no ${repositoryObject}` : `it has ${found}`,
      });
    }
    await rememberId(loaded.config.stateDir, repositoryPlace(repositoryLocation(loaded)), id);
    return `the repository at ${storage.location} is the one with the id ${id}`;
  });
}

async function noteSize(repository: Repository, id: string, { signal }: RunContext): Promise<void> {
  await using lease = await acquireLease(repository.storage, { scope: 'cleanup', command: 'acknowledge', signal });
  const { manifest } = await repository.readManifest(id);
  await lease.check();
  if (manifest !== undefined) await writeNote(repository, manifest, { acknowledged: true });
}
