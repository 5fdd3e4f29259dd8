/**
 * Recovers PostgreSQL to a moment: into a folder that becomes startable only when all of it is there and read,
 * or by way of a throwaway cluster back into a live server. All that can be refused is refused before a byte is
 * written. Without a base backup and its log the newest logical backup before the moment takes its place.
 */
import { resolve } from 'node:path';
import type { LoadedConfig } from '../../config/load.ts';
import { addState, LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { isolationOrNone, type Isolation } from '../../lib/isolation.ts';
import type { Repository } from '../../repository/repository.ts';
import { audited } from '../audit/audited.ts';
import { hooked } from '../hooks/hooked.ts';
import { noteWarnings } from '../warnings.ts';
import { collectLeftovers, withRepository } from '../open-repository.ts';
import { acquireReadLease } from '../read-lease.ts';
import { checkWal } from './check-segments.ts';
import { refuseForeignRights } from './foreign-rights.ts';
import { recordRecovery } from './evidence.ts';
import { copyInto, type Copied } from './copy-into-live.ts';
import { planInto, type IntoPlan } from './plan-into.ts';
import { momentOf } from './reached-moment.ts';
import { planOthers, restoreOthers } from './other-components.ts';
import { findPlaces, type RecoveryPlaces } from './folders.ts';
import { NoBaseError } from './no-base.ts';
import { planPitr, type PitrPlan } from './plan.ts';
import type { Recovered, RecoverOptions } from './carry-out.ts';
import { recoverCluster } from './recover.ts';
import { makeSlot, refuseStandby, standbySettings } from './standby.ts';
import {
  pitrDefaults,
  type PitrOptions,
  type PitrOtherPlanned,
  type PitrRecovered,
  type PitrRequest,
  type PitrResult,
} from './request.ts';
import type { Replaced } from '../restore/step.ts';
import type { Operation, Surroundings } from '../operation.ts';
import { given, pathOf, repositoryNeeds, targetNeeds } from '../complete.ts';
import { completeFiles, completePostgres, completeRedis } from '../restore/complete.ts';

export const pitr = audited('pitr', hooked('pitr', recover));

/** Servers are asked, and their passwords needed, only where something is put into them. */
export const pitrOperation: Operation<PitrOptions, PitrRequest, PitrResult> = {
  command: 'pitr',
  need: (request) =>
    request.intoDatabase === undefined && request.with === undefined && !followsTarget(request)
      ? repositoryNeeds
      : targetNeeds(request),
  complete: completePitr,
  run: pitr,
};

/** The primary is the target's server. */
function followsTarget({ standby }: PitrRequest): boolean {
  return standby !== undefined && standby.primaryUrl === undefined;
}

function completePitr(options: PitrOptions, { cwd, confirm }: Surroundings): PitrRequest {
  const { intoDatabase, others, dataDir, tablespaceMap, ...rest } = options;
  return {
    ...pitrDefaults,
    confirm,
    ...given(rest),
    ...(rest.standby === undefined ? {} : { action: rest.action ?? ('standby' as const) }),
    dataDir: pathOf(dataDir, cwd),
    tablespaceMap: tablespaceMap && mapValues(tablespaceMap, (place) => resolve(cwd, place)),
    intoDatabase: intoDatabase && completePostgres(intoDatabase),
    others: others && { redis: completeRedis(others.redis, cwd), files: completeFiles(others.files, cwd) },
  };
}

function mapValues<T>(of: Readonly<Record<string, T>>, change: (value: T) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(of).map(([key, value]) => [key, change(value)]));
}

async function recover(loaded: LoadedConfig, request: PitrRequest, told: RunContext): Promise<PitrResult> {
  const { context, warnings } = noteWarnings(told);
  refuseContradictions(request);
  refuseStandby(request);
  collectLeftovers(loaded, context);
  const at = new Date();
  return withRepository(loaded, context, async (repository): Promise<PitrResult> => {
    let plan: PitrPlan;
    try {
      plan = await planPitr(loaded, request, repository, context);
    } catch (why) {
      if (!(why instanceof NoBaseError)) throw why;
      const { fallBack } = await import('./fallback.ts');
      const askFirst = async (replaced: readonly Replaced[], target: string): Promise<void> =>
        ask(request, replaced, target);
      const done = await fallBack({ loaded, repository, request, why, at, ask: askFirst }, context);
      return { ...done, warnings };
    }
    await using _ = await acquireReadLease(repository, { command: 'pitr', parents: [plan.manifest.id] }, context);
    return { ...(await withPlan({ loaded, repository, request, plan, at }, context)), warnings };
  });
}

function refuseContradictions({ check, dryRun, action, to, dataDir, intoDatabase }: PitrRequest): void {
  if (intoDatabase !== undefined && action === 'pause') {
    throw new LifeboatError(
      'usage',
      'what is copied must not change, nor be locked by what had not ended at the moment: a recovery that is held ' +
        'cannot be copied from',
      { hint: 'leave out --action pause' },
    );
  }
  if (check || dryRun) return;
  if (action === 'pause' && to === 'latest') {
    throw new LifeboatError('usage', 'there is no moment to pause at with --to latest', {
      hint: 'leave out --action, or name a moment',
    });
  }
  if (dataDir === undefined && intoDatabase === undefined) {
    throw new LifeboatError('usage', 'no place to recover to was named', {
      hint:
        'name a folder that is empty or not there: --data-dir /path; or what is to be copied back into the live ' +
        'server: --into-database app; or only plan: --dry-run, --check',
    });
  }
}

interface Work {
  readonly loaded: LoadedConfig;
  readonly repository: Repository;
  readonly request: PitrRequest;
  readonly plan: PitrPlan;
  readonly at: Date;
}

async function withPlan(work: Work, context: RunContext): Promise<PitrResult> {
  const { repository, request, plan } = work;
  const target = plan.manifest.target;
  const planned = await planRest(work, context);
  const { into, others } = planned;
  const shown = { ...plan.shown, copies: into?.steps, others };
  const checked = request.check ? await checkWal(repository, plan, context) : undefined;
  if (request.check || request.dryRun) return { ...shown, outcome: 'planned', checked, warnings: [] };
  await ask(request, into?.replaces ?? [], target);
  const { recovered, copied, durationMs } = await recoverAndCopy(work, planned, context);
  await recordRecovery(repository, plan, { ...recovered, durationMs }, context);
  const { restored, safetyBackupIds } = await afterwards(work, others ?? [], recovered, copied, context);
  return {
    ...shown,
    outcome: 'done',
    action: request.action,
    ...recovered,
    copied: copied?.copied,
    restored: others === undefined ? undefined : restored,
    safetyBackupId: copied?.safetyBackupId ?? safetyBackupIds[0],
    durationMs,
    warnings: [],
  };
}

interface PlannedRest {
  /** Undefined: the cluster is thrown away. */
  readonly places: RecoveryPlaces | undefined;
  /** What is copied into a live server. */
  readonly into: IntoPlan | undefined;
  /** Undefined: none were asked for. */
  readonly others: readonly PitrOtherPlanned[] | undefined;
}

/** Where to, and what else: all that can be refused before the recovery. */
async function planRest({ loaded, repository, request, plan, at }: Work, context: RunContext): Promise<PlannedRest> {
  const { dataDir, tablespaceMap, intoDatabase } = request;
  const { target } = plan.manifest;
  const places =
    dataDir === undefined ? undefined : await findPlaces(plan, dataDir, { own: loaded.config, map: tablespaceMap });
  await refuseForeignRights(repository, plan.manifest.id, request, context);
  const into = intoDatabase === undefined ? undefined : await planInto(loaded, target, intoDatabase, at, context);
  if ((request.with?.length ?? 0) === 0) return { places, into, others: undefined };
  const moment = await momentOf(repository, plan, context);
  return { places, into, others: await planOthers(loaded, request, target, repository, moment, context) };
}

async function recoverAndCopy(
  { loaded, repository, request, plan }: Work,
  { places, into }: PlannedRest,
  context: RunContext,
): Promise<{ recovered: Recovered; copied: Copied | undefined; durationMs: number }> {
  const { manifest, place } = plan;
  const started = performance.now();
  let copied: Copied | undefined;
  const use: RecoverOptions['use'] =
    into &&
    (async ({ url }, inner) => {
      const from = { url, programs: place.programs };
      copied = await copyInto({ loaded, repository, request, manifest, into, from }, inner);
    });
  const { inclusive, action } = request;
  const { jobs } = loaded.config;
  const isolation = places === undefined ? await isolationFor(loaded, context) : undefined;
  const { standby } = request;
  const settings = standby && (await standbySettings(loaded, standby, manifest.target, context));
  const recovered = await recoverCluster(
    { repository, plan, inclusive, places, isolation, action, jobs, use, standbySettings: settings },
    context,
  );
  if (standby !== undefined) await makeSlot(loaded, standby, manifest.target, context);
  return { recovered, copied, durationMs: performance.now() - started };
}

/** Of a cluster that is thrown away. What is to be copied out of it is needed now, so it is not refused without. */
async function isolationFor({ config }: LoadedConfig, { emit }: RunContext): Promise<Isolation> {
  const isolation = await isolationOrNone(config.drill);
  if (isolation.kind === 'none') {
    const message = 'the recovering server runs without isolation: lifeboat doctor tells why';
    emit({ type: 'warning', component: 'base', message });
  }
  return isolation;
}

/** What fails here leaves the recovered cluster as it is, and says so. */
async function afterwards(
  { loaded, request, plan }: Work,
  others: readonly PitrOtherPlanned[],
  { pid }: Pick<PitrRecovered, 'pid'>,
  copied: Copied | undefined,
  context: RunContext,
): ReturnType<typeof restoreOthers> {
  try {
    return await restoreOthers(loaded, request, plan.manifest.target, others, context);
  } catch (error) {
    const running = pid === undefined ? '' : `; its server runs as process ${pid}`;
    const cluster =
      request.dataDir === undefined ? [] : [`the recovered cluster is complete in ${request.dataDir}${running}`];
    const copies = (copied?.copied ?? []).map(({ to, undo }) => {
      const back = undo === undefined ? '' : ` (to take it back: ${undo})`;
      return `the recovered database is ${to}${back}`;
    });
    throw addState(error, [...cluster, ...copies].join('; '));
  }
}

/** One question, before the recovery begins: nobody waits for it in the night. */
async function ask(
  { intoDatabase, others, with: names, confirm }: PitrRequest,
  replaced: readonly Replaced[],
  target: string,
): Promise<void> {
  const consequences = replaced.flatMap((each) => each.consequences);
  for (const name of new Set(names)) {
    if (others?.[name].intoLive === true) {
      consequences.push(`${name} of target ${target} is replaced by what its backup holds`);
    }
  }
  if (consequences.length === 0) return;
  const [only, ...more] = replaced;
  const name =
    only !== undefined &&
    more.length === 0 &&
    replaced.flatMap((each) => each.consequences).length === consequences.length
      ? only.name
      : target;
  if (confirm === undefined) {
    throw new LifeboatError('confirmation', `confirmation is needed: ${consequences.join('; ')}`, {
      state: 'nothing was changed',
      hint: `--confirm=${intoDatabase === undefined ? target : name}`,
    });
  }
  await confirm({ name, consequences });
}
