/**
 * Everything back from the newest whole backup: planned and confirmed first, then step by step, each written down
 * before and after, on disk and in the audit log. A step can be repeated: what was killed is gone on with from the
 * first step that is not done. One run at a time: a lease keeps a second one away.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { audited } from '../audit/audited.ts';
import { isAtWork, JournalFile, newJournal, type Journal } from './journal.ts';
import type { EmergencyPlan } from './plan.ts';
import { planLines } from './plan-text.ts';
import { writePlan } from './plan-file.ts';
import { planOf } from './requested-plan.ts';
import { unfinished } from './resume.ts';
import { withEmergencyLease } from './lease.ts';
import { freeRedis } from './live.ts';
import { runAll } from './run.ts';
import { noteWarnings } from '../warnings.ts';
import { withRepository } from '../open-repository.ts';
import type { Operation } from '../operation.ts';
import { chooseTarget } from '../targets.ts';
import { given, pathOf, targetNeeds } from '../complete.ts';
import type { EmergencyOptions, EmergencyRequest, EmergencyResult } from './request.ts';

export const emergencyRestore = audited('emergency-restore', restoreAll);

export const emergencyRestoreOperation: Operation<EmergencyOptions, EmergencyRequest, EmergencyResult> = {
  command: 'emergency-restore',
  need: targetNeeds,
  complete: (options, { cwd, confirm }) => ({
    only: [],
    force: false,
    safetyBackup: true,
    dryRun: false,
    resume: false,
    confirm,
    ...given(options),
    planOut: pathOf(options.planOut, cwd),
    apply: pathOf(options.apply, cwd),
  }),
  run: emergencyRestore,
};

async function restoreAll(loaded: LoadedConfig, request: EmergencyRequest, told: RunContext): Promise<EmergencyResult> {
  refuseContradictions(request);
  const { context, warnings } = noteWarnings(told);
  return withRepository(loaded, context, async (repository) => {
    const target = chooseTarget(loaded, request.target).name;
    if (request.dryRun || request.planOut !== undefined) {
      return planOnly(loaded, repository, request, target, warnings, context);
    }
    return withEmergencyLease(repository, target, context, async (held) => {
      const file = new JournalFile(loaded.config.stateDir, repository.repositoryId, target);
      const earlier = await file.read();
      if (earlier !== undefined) refuseAtWork(earlier, file);
      await freeRedis(loaded.config, target, held);
      if (request.resume) {
        const journal = await unfinished(loaded, repository, file, earlier, request, target, held);
        return runAll(loaded, repository, file, journal, warnings, held);
      }
      if (earlier !== undefined && earlier.finishedAt === undefined) {
        held.emit({
          type: 'warning',
          message:
            `the emergency restore of ${earlier.plan.id}, begun ${earlier.startedAt}, was not finished: to go on ` +
            `with it instead of starting anew: lifeboat emergency-restore restore --resume --target ${target}`,
        });
      }
      const plan = await planOf(loaded, repository, request, target, held);
      for (const message of planLines(plan)) held.emit({ type: 'step', message });
      await confirmPlan(plan, request, held);
      if (earlier !== undefined) await putAside(file, earlier, held);
      return runAll(loaded, repository, file, newJournal(plan, repository.repositoryId), warnings, held);
    });
  });
}

async function planOnly(
  loaded: LoadedConfig,
  repository: Repository,
  request: EmergencyRequest,
  target: string,
  warnings: readonly string[],
  context: RunContext,
): Promise<EmergencyResult> {
  const plan = await planOf(loaded, repository, request, target, context);
  if (request.planOut !== undefined) {
    await writePlan(
      repository,
      (await repository.readManifest(plan.id)).manifest ?? unknownBackup(plan.id),
      plan,
      request.planOut,
    );
  }
  return { outcome: 'planned', id: plan.id, target, plan, lines: planLines(plan), planFile: request.planOut, warnings };
}

function refuseContradictions({ id, only, force, resume, apply, planOut, dryRun }: EmergencyRequest): void {
  if (resume && (id !== undefined || only.length > 0 || apply !== undefined || planOut !== undefined || dryRun)) {
    throw new LifeboatError('usage', '--resume goes on with what was planned: it takes no id and no other choice');
  }
  if (apply !== undefined && (id !== undefined || only.length > 0 || planOut !== undefined)) {
    throw new LifeboatError('usage', '--apply carries out a plan: id and components stand in it');
  }
  if (force && (id === undefined || id.startsWith('latest'))) {
    throw new LifeboatError('usage', '--force wants the id of the backup spelled out', {
      state: 'nothing was changed',
      hint: 'lifeboat emergency-restore status shows the ids; without --force the name of the target is asked for',
    });
  }
}

/**
 * A wrong place is confirmed by a name of its own, so that what stands in an old script does not do; --force does not
 * override that.
 */
async function confirmPlan(plan: EmergencyPlan, request: EmergencyRequest, { emit }: RunContext): Promise<void> {
  const consequences = [...plan.mismatches, ...plan.losses];
  if (plan.mismatches.length === 0 && request.force) {
    const losses = plan.losses.length === 0 ? 'nothing live is replaced' : plan.losses.join('; ');
    emit({ type: 'warning', message: `--force: not asked whether ${losses}` });
    return;
  }
  await request.confirm({
    name: plan.confirmName,
    consequences:
      consequences.length === 0
        ? [`target ${plan.target} is restored from ${plan.id}; nothing live is replaced`]
        : consequences,
  });
}

async function putAside(file: JournalFile, earlier: Journal, { emit }: RunContext): Promise<void> {
  const aside = await file.putAside(earlier);
  if (earlier.finishedAt === undefined) {
    emit({
      type: 'warning',
      message: `started anew; the journal of the emergency restore that was not finished is ${aside}`,
    });
  }
}

/** The lease keeps other hosts away; this one those of this host that could not take one. */
function refuseAtWork(journal: Journal, file: JournalFile): void {
  if (!isAtWork(journal)) return;
  const { by, plan, startedAt } = journal;
  throw new LifeboatError(
    'locked',
    `an emergency restore of target ${plan.target} runs on this host: process ${by.pid} of ${by.user}, from ` +
      `${plan.id}, begun ${startedAt}`,
    {
      state: 'nothing was changed by this run',
      hint:
        `wait for it; its journal is ${file.path}. If it hangs, end it (kill ${by.pid}), then go on: lifeboat ` +
        `emergency-restore restore --resume --target ${plan.target}`,
      retryable: true,
    },
  );
}

function unknownBackup(id: string): never {
  throw new LifeboatError('integrity', `the manifest of ${id} cannot be read any more`, {
    state: 'nothing was changed',
  });
}
