/**
 * Going on with an emergency restore that was interrupted: only with what was planned and confirmed, and only where it
 * was to go.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { ownIdentity } from '../../lib/process-identity.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Journal, JournalFile } from './journal.ts';
import { movedSince, type EmergencyPlan } from './plan.ts';
import type { EmergencyRequest } from './request.ts';

/**
 * The journal, made this process's own. Throws `not_found` (10) where nothing was interrupted, `integrity` (14) and
 * `confirmation` (18) where backup or servers are no longer those that were planned.
 */
export async function unfinished(
  loaded: LoadedConfig,
  repository: Repository,
  file: JournalFile,
  journal: Journal | undefined,
  request: EmergencyRequest,
  target: string,
  context: RunContext,
): Promise<Journal> {
  if (journal === undefined || journal.finishedAt !== undefined) {
    throw new LifeboatError(
      'not_found',
      `no emergency restore of target ${target} from ${repository.storage.location} was interrupted on this host`,
      {
        state: 'nothing was changed',
        hint: `the journal would be ${file.path}; start with: lifeboat emergency-restore restore --target ${target}`,
      },
    );
  }
  const { plan } = journal;
  await refuseChanges(loaded, repository, plan, target, context);
  journal.by = ownIdentity();
  if (!request.safetyBackup) {
    for (const step of journal.steps) {
      if (step.name === 'safety-backup' && step.state !== 'done') step.state = 'skipped';
    }
  }
  const done = journal.steps.filter(({ state }) => state === 'done');
  context.emit({
    type: 'step',
    message:
      `going on with the emergency restore of ${plan.id}, begun ${journal.startedAt}: ` +
      `${done.length} of ${journal.steps.length} steps are done`,
  });
  return journal;
}

async function refuseChanges(
  { config }: LoadedConfig,
  repository: Repository,
  plan: EmergencyPlan,
  target: string,
  context: RunContext,
): Promise<void> {
  const { seal } = await repository.readManifest(plan.id);
  if (seal !== plan.seal) {
    throw new LifeboatError('integrity', `backup ${plan.id} is no longer the one that was planned`, {
      state: 'nothing was changed by this run',
      hint: `start anew: lifeboat emergency-restore restore --target ${target}`,
    });
  }
  const moved = await movedSince(config, plan, context);
  if (moved.length > 0) {
    throw new LifeboatError('confirmation', `this is not what was planned: ${moved.join('; ')}`, {
      state: 'nothing was changed by this run',
      hint: `put the configuration back, or start anew: lifeboat emergency-restore restore --target ${target}`,
    });
  }
}
