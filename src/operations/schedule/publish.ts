/**
 * Says in the repository which schedules are in force: those of this configuration are, those that this host has
 * published and that are there no more are not.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { ownIdentity } from '../../lib/process-identity.ts';
import type { Repository } from '../../repository/repository.ts';
import { scheduleFolder, type ScheduleKey } from '../../repository/slots/names.ts';
import { publishPlan, readPlans, type PublishedPlan } from '../../repository/slots/plans.ts';
import { repositoryNeeds } from '../complete.ts';
import { withRepository } from '../open-repository.ts';
import type { Operation } from '../operation.ts';
import type { SchedulePublishRequest, SchedulePublishResult } from './request.ts';
import { planOf, scheduleKeyOf } from './slot.ts';

export const schedulePublishOperation: Operation<
  SchedulePublishRequest,
  SchedulePublishRequest,
  SchedulePublishResult
> = { need: () => repositoryNeeds, complete: (options) => options, run: publish };

async function publish(
  loaded: LoadedConfig,
  { withdraw, gone: only }: SchedulePublishRequest,
  context: RunContext,
): Promise<SchedulePublishResult> {
  return withRepository(loaded, context, async (repository) => {
    const published: string[] = [];
    const kept = new Set<string>();
    const warnings: string[] = [];
    for (const schedule of loaded.config.schedules.filter(({ enabled }) => enabled)) {
      const of = keyOrWarning(loaded, schedule, warnings);
      if (of === undefined) continue;
      kept.add(scheduleFolder(of));
      const { isNew } = await publishPlan(repository, of, planOf(schedule), Date.now());
      if (isNew) published.push(nameOf(of));
    }
    const plans = (await readPlans(repository)).map(({ plan }) => plan).filter(({ enabled }) => enabled);
    if (withdraw !== undefined && !plans.some(({ id }) => id === withdraw)) {
      throw new LifeboatError('not_found', `no schedule ${withdraw} is in force in the repository`, {
        hint: `in force: ${plans.map(nameOf).join(', ') || 'none'}`,
      });
    }
    const { host } = ownIdentity();
    const isOurs = (plan: PublishedPlan): boolean => plan.host === host && (only?.includes(plan.id) ?? true);
    const gone = plans.filter((plan) => plan.id === withdraw || (isOurs(plan) && !kept.has(scheduleFolder(plan))));
    for (const plan of gone) await withdrawPlan(repository, plan);
    return { published, withdrawn: gone.map(nameOf), warnings };
  });
}

/** One that can have no slots is told, and keeps no other from being published. */
function keyOrWarning(
  loaded: LoadedConfig,
  schedule: LoadedConfig['config']['schedules'][number],
  warnings: string[],
): ScheduleKey | undefined {
  try {
    return scheduleKeyOf(loaded, schedule);
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error;
    warnings.push(error.message);
    return undefined;
  }
}

async function withdrawPlan(repository: Repository, plan: PublishedPlan): Promise<void> {
  const { name, type, cronExpression, timezone, graceMinutes, missed, attempts } = plan;
  const draft = { name, type, cronExpression, timezone, enabled: false, graceMinutes, missed, attempts };
  await publishPlan(repository, plan, draft, Date.now());
}

function nameOf({ target, id }: ScheduleKey): string {
  return target === undefined ? id : `${id} of ${target}`;
}
