/**
 * The plan that a request is carried out by: a new one, or the one in a file, if everything is still as it says.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { changesSince, readPlan, type PlanInFile } from './plan-file.ts';
import { planEmergency, type EmergencyPlan, type PlanOptions } from './plan.ts';
import type { EmergencyRequest } from './request.ts';

/** Throws what `planEmergency` throws, and `confirmation` (18) for a plan that no longer fits. */
export async function planOf(
  loaded: LoadedConfig,
  repository: Repository,
  request: EmergencyRequest,
  target: string,
  context: RunContext,
): Promise<EmergencyPlan> {
  if (request.apply !== undefined) return planApplied(loaded, repository, request.apply, target, context);
  const { id, only, force, safetyBackup } = request;
  const options: PlanOptions = { id, target, only, force, safetyBackup };
  const plan = await planEmergency(loaded, repository, options, context);
  if (force && id !== plan.id) {
    throw new LifeboatError('usage', '--force wants the id of the backup spelled out', {
      state: 'nothing was changed',
      hint: `it is ${plan.id}`,
    });
  }
  return plan;
}

async function planApplied(
  loaded: LoadedConfig,
  repository: Repository,
  file: string,
  target: string,
  context: RunContext,
): Promise<EmergencyPlan> {
  const before = await readPlan(repository, file);
  if (before.target !== target) {
    throw new LifeboatError('usage', `the plan is for target ${before.target}, not for ${target}`, {
      state: 'nothing was changed',
      hint: `add --target ${before.target}`,
    });
  }
  // A plan for the newest whole backup no longer fits when there is a newer one.
  const now = await planEmergency(
    loaded,
    repository,
    {
      id: before.isNewest ? undefined : before.id,
      target,
      only: before.components,
      force: before.forced,
      safetyBackup: before.safetyBackup,
    },
    context,
  );
  const changes = changesSince(before, now);
  if (changes.length === 0) return now;
  throw noLongerFits(before, now, changes);
}

function noLongerFits(before: PlanInFile, now: EmergencyPlan, changes: readonly string[]): LifeboatError {
  const newPlan = `lifeboat emergency-restore restore --target ${before.target} --plan-out <file>`;
  const samePlan = `lifeboat emergency-restore restore ${before.id} --target ${before.target} --plan-out <file>`;
  const insisting = before.id === now.id ? '' : `; to insist on the backup that was planned, name it: ${samePlan}`;
  return new LifeboatError('confirmation', `the plan no longer fits: ${changes.join('; ')}`, {
    state: 'nothing was changed',
    hint: `make a new plan: ${newPlan}${insisting}`,
  });
}
