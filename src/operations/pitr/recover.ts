/**
 * Recovers a base backup to its moment: restored, replayed on a private socket, every table read, checked by
 * pg_amcheck, and left as asked. A folder becomes startable only when all of that is done; a throwaway cluster
 * is gone afterwards, whatever happened.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { addState, LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { rememberPath } from '../../lib/leftovers.ts';
import { formatBytes } from '../../lib/units.ts';
import { openArtifacts } from '../../repository/packs/artifact-reader.ts';
import type { Repository } from '../../repository/repository.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import { segmentNumber } from '../../source/postgres/wal/file-name.ts';
import { restoreBase, takeIntoUse } from '../../source/postgres/base/restore.ts';
import { startRecovery, type RecoveringServer, type RecoveryPosition } from '../../source/postgres/cluster/recovery.ts';
import { endedEarly, refuseEarlyEnd } from './early-end.ts';
import { claimFolders, findPlaces, makeDataDir, makeScratchFolder, type RecoveryPlaces } from './folders.ts';
import type { PitrPlan } from './plan.ts';
import type { PitrAction, PitrRecovered } from './request.ts';
import { formatMicroseconds } from './moment.ts';
import { serveWal, type WalServer } from './wal-server.ts';
import { replayMeter } from './replay-meter.ts';
import { checkStructure } from './structure-check.ts';

export interface RecoverOptions {
  readonly repository: Repository;
  readonly plan: PitrPlan;
  readonly inclusive: boolean;
  /** Undefined: a throwaway cluster below the place of the plan. */
  readonly places: RecoveryPlaces | undefined;
  readonly action: PitrAction;
  readonly jobs: number;
  /** Runs while the server is at rest at the moment and has been checked. */
  readonly use?: ((server: RecoveringServer, context: RunContext) => Promise<void>) | undefined;
}

export type Recovered = Pick<
  PitrRecovered,
  'stopped' | 'lsn' | 'lastCommitAt' | 'databases' | 'structure' | 'segmentsReplayed' | 'url' | 'pid' | 'nextSteps'
>;

/**
 * Throws `integrity` (14) for a damaged archive or cluster, `window` (17), `source` (13), `space` (15); what is left
 * then stands in the error's state.
 */
export async function recoverCluster(options: RecoverOptions, context: RunContext): Promise<Recovered> {
  const { plan } = options;
  const folder = await makeScratchFolder(plan.place.parent);
  const remembered = rememberPath(folder);
  let goesOn: boolean | undefined;
  try {
    const places = options.places ?? (await throwawayPlaces(plan, folder));
    const recovered = await inFolder(options, places, folder, context);
    goesOn = recovered.pid !== undefined;
    return recovered;
  } catch (error) {
    if (!(error instanceof LateFailure)) throw error;
    goesOn = error.goesOn;
    throw error.cause;
  } finally {
    // Socket and log of a server that goes on.
    if (goesOn !== true) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    remembered[Symbol.dispose]();
  }
}

/** Of the user that throwaway servers run as. */
async function throwawayPlaces(plan: PitrPlan, folder: string): Promise<RecoveryPlaces> {
  const dataDir = join(folder, 'data');
  await makeDataDir({ dataDir, owner: plan.place.owner }, folder);
  return findPlaces(plan, dataDir);
}

/** The cluster is complete; what was to be done with it failed. */
class LateFailure extends Error {
  /** The server was left running. */
  readonly goesOn: boolean;

  constructor(cause: unknown, goesOn: boolean) {
    super('late failure', { cause });
    this.goesOn = goesOn;
  }
}

async function inFolder(
  options: RecoverOptions,
  places: RecoveryPlaces,
  folder: string,
  context: RunContext,
): Promise<Recovered> {
  const { action, plan } = options;
  const { dataDir } = places;
  const isThrowaway = options.places === undefined;
  const claimed = await claimFolders(places);
  const started: { server?: RecoveringServer } = {};
  try {
    await makeDataDir(places, folder);
    const { server, late, ...rest } = await carryOut(options, places, { folder, started }, context);
    if (isThrowaway) await server.kill();
    const goesOn = !isThrowaway && action !== 'shutdown';
    if (late !== undefined) {
      throw new LateFailure(isThrowaway ? late : addState(late, lateState(action, dataDir, server)), goesOn);
    }
    return {
      ...rest,
      ...(goesOn ? { url: server.url.reveal(), pid: server.pid } : {}),
      nextSteps: isThrowaway ? [] : nextSteps(action, dataDir, server, plan),
    };
  } catch (error) {
    if (error instanceof LateFailure) throw error;
    await started.server?.kill().catch(() => {});
    if (!isThrowaway && error instanceof DamagedCluster && !context.signal.aborted) {
      throw addState(error.cause, keptState(dataDir));
    }
    const state = await claimed.clear();
    const cause = error instanceof DamagedCluster ? error.cause : error;
    throw isThrowaway ? cause : addState(cause, state);
  } finally {
    claimed.release();
  }
}

/** It was recovered as it was, damage included: another try would find the same, so what there is stays. */
class DamagedCluster extends Error {}

interface Running {
  /** Private: for socket, settings and log. */
  readonly folder: string;
  /** Filled as soon as there is a server to end. */
  readonly started: { server?: RecoveringServer };
}

type CarriedOut = Omit<Recovered, 'url' | 'pid' | 'nextSteps'> & {
  readonly server: RecoveringServer;
  /** What `use` failed with. */ readonly late: unknown;
};

async function carryOut(
  options: RecoverOptions,
  { dataDir, tablespaces, owner }: RecoveryPlaces,
  { folder, started }: Running,
  context: RunContext,
): Promise<CarriedOut> {
  const { repository, plan, action } = options;
  const isThrowaway = options.places === undefined;
  const { signal, emit } = context;
  emit({
    type: 'step',
    component: 'base',
    message: `restoring base backup ${plan.manifest.id} (${formatBytes(plan.shown.baseBytes)}) to ${dataDir}`,
  });
  const reader = openArtifacts({
    storage: repository.storage,
    dataKey: await repository.dataKeyOf(plan.manifest),
    artifacts: plan.component.artifacts,
    trustChecksums: true,
  });
  const restoring = performance.now();
  await restoreBase({ reader, dataDir, tablespaces, owner }, context);
  emit({
    type: 'timing',
    component: 'base',
    name: 'restore of the base backup',
    seconds: (performance.now() - restoring) / 1000,
  });
  await using wal = await serveWal({
    repository,
    inventory: plan.inventory,
    run: plan.run,
    segmentBytes: plan.facts.walSegmentBytes,
    folder,
    owner,
  });
  emit({ type: 'step', component: 'base', message: `replaying up to ${plan.shown.segments.count} WAL segments` });
  const server = await startRecovery({
    dataDir,
    folder,
    owner,
    programs: plan.place.programs,
    facts: plan.facts,
    restoreCommand: wal.command,
    target: recoveryTarget(plan, options.inclusive),
  });
  started.server = server;
  const { stopped, position } = await replay(server, wal, plan, context);
  emit({ type: 'step', component: 'base', message: stopped });
  // First of all: it ends what had not ended at the moment, a DROP TABLE say, and holds locks for ever while the replay
  // is held.
  const writable = action !== 'pause';
  if (writable) await server.promote(signal);
  const databases = await server.readAll(context);
  const structure = await checkStructure(
    {
      url: server.url,
      databases,
      named: (database) => `database "${database}" of the recovered cluster`,
      component: 'base',
      programs: plan.place.programs,
      jobs: options.jobs,
      writable,
    },
    context,
  ).catch((error: unknown) => {
    throw error instanceof LifeboatError && error.code === 'integrity'
      ? new DamagedCluster('damaged', { cause: error })
      : error;
  });
  const late = await options.use?.(server, context).then(
    () => undefined,
    (error: unknown) => error ?? new Error('unknown'),
  );
  signal.throwIfAborted();
  if (!isThrowaway && action === 'shutdown') await server.shutDown(signal);
  if (!isThrowaway && action !== 'pause') await takeIntoUse(dataDir);
  // The commit point: from here on nothing is taken away any more.
  if (!isThrowaway) server.release();
  return {
    stopped,
    lsn: position.lsn,
    lastCommitAt: position.lastCommitAt,
    databases,
    structure,
    segmentsReplayed: wal.delivered(),
    server,
    late,
  };
}

async function replay(
  server: RecoveringServer,
  wal: WalServer,
  plan: PitrPlan,
  context: RunContext,
): Promise<{ stopped: string; position: RecoveryPosition }> {
  const { facts, target, needed, run } = plan;
  const size = BigInt(facts.walSegmentBytes);
  const end = target.kind === 'lsn' ? target.lsn : (run.first + BigInt(needed.length)) * size;
  const meter = replayMeter(parseLsn(facts.startLsn), end, context);
  const timer = setInterval(() => {
    const asked = wal.last();
    if (asked !== undefined) meter.at(segmentNumber(asked, facts.walSegmentBytes) * size);
  }, 500);
  try {
    const stopped = await server.reached(context, (lsn) => meter.at(parseLsn(lsn)));
    if (target.kind === 'latest') refuseEarlyEnd(plan, server.replayedTo());
    const position = await server.position();
    return { stopped, position };
  } catch (error) {
    // Why the server got no WAL tells more than that it ended.
    throw context.signal.aborted ? error : (wal.failure() ?? endedEarly(plan, error));
  } finally {
    clearInterval(timer);
  }
}

function recoveryTarget({ target, run }: PitrPlan, inclusive: boolean): Record<string, string> {
  if (target.kind === 'immediate') return { recovery_target: 'immediate', recovery_target_timeline: 'current' };
  const timeline = { recovery_target_timeline: String(run.timeline) };
  const common = { ...timeline, recovery_target_inclusive: inclusive ? 'on' : 'off' };
  if (target.kind === 'latest') return timeline;
  // While it reads its configuration the server knows no names of zones, not even Z.
  if (target.kind === 'time') {
    return { ...common, recovery_target_time: formatMicroseconds(target.atUs).replace('T', ' ').replace('Z', '+00') };
  }
  if (target.kind === 'name') return { ...timeline, recovery_target_name: target.name };
  return { ...common, [`recovery_target_${target.kind}`]: target.text };
}

function lateState(action: PitrAction, dataDir: string, { pid, url }: RecoveringServer): string {
  return (
    'the recovered cluster is complete in ' +
    `${dataDir}${action === 'shutdown' ? ', shut down' : `; its server runs as process ${pid}: psql '${url.reveal()}'`}`
  );
}

function keptState(dataDir: string): string {
  return (
    `the recovered cluster is kept in ${dataDir}, its configuration under names that end in .until-recovered, so ` +
    'that no server starts from it unasked; rename them back to start it all the same, or remove the folder'
  );
}

function nextSteps(
  action: PitrAction,
  dataDir: string,
  { pid, url }: RecoveringServer,
  { place, facts }: PitrPlan,
): string[] {
  const outside = Object.values(facts.outsideFiles);
  if (action === 'pause') {
    return [
      `look at it: psql '${url.reveal()}'`,
      `end it: kill -INT ${pid}, then remove ${dataDir}`,
      'to take the cluster into use: the same command with --action shutdown and another --data-dir',
    ];
  }
  return [
    ...(action === 'promote'
      ? [`use it: psql '${url.reveal()}'`, `end it before you start it by its own configuration: kill -INT ${pid}`]
      : []),
    ...(outside.length === 0 ? [] : [`its configuration lay outside of the data directory: ${outside.join(', ')}`]),
    `start it: ${join(place.programs, 'pg_ctl')} -D ${dataDir} start`,
    'it does not archive (archive_mode = off in postgresql.auto.conf, so that it cannot disturb the archive of ' +
      'the old one): ALTER SYSTEM RESET archive_mode and restart once it takes over; then push the .history file of ' +
      'its new timeline in pg_wal (lifeboat wal push), and lifeboat backup base',
  ];
}
