/**
 * The work of a recovery: the base backup restored, its log replayed up to the moment, every table read and checked,
 * and the cluster left as asked.
 */
import { join } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Isolation } from '../../lib/isolation.ts';
import { formatBytes } from '../../lib/units.ts';
import { openArtifacts } from '../../repository/packs/artifact-reader.ts';
import type { Repository } from '../../repository/repository.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import { segmentNumber } from '../../source/postgres/wal/file-name.ts';
import { restoreBase, takeIntoUse } from '../../source/postgres/base/restore.ts';
import { makeQuarters } from '../../source/postgres/cluster/quarters.ts';
import { startRecovery, type RecoveringServer, type RecoveryPosition } from '../../source/postgres/cluster/recovery.ts';
import { endedEarly, refuseEarlyEnd } from './early-end.ts';
import type { RecoveryPlaces } from './folders.ts';
import type { PitrPlan } from './plan.ts';
import type { PitrAction, PitrRecovered } from './request.ts';
import { recoveryTime } from './moment.ts';
import { serveWal, type WalServer } from './wal-server.ts';
import { replayMeter } from './replay-meter.ts';
import { checkStructure } from './structure-check.ts';

export interface RecoverOptions {
  readonly repository: Repository;
  readonly plan: PitrPlan;
  readonly inclusive: boolean;
  /** Undefined: a throwaway cluster below the place of the plan. */
  readonly places: RecoveryPlaces | undefined;
  /** Of a throwaway cluster; undefined for another. */
  readonly isolation: Isolation | undefined;
  readonly action: PitrAction;
  /** With action `standby`: lines for postgresql.auto.conf. */
  readonly standbySettings?: readonly string[] | undefined;
  readonly jobs: number;
  /** Runs while the server is at rest at the moment and has been checked. */
  readonly use?: ((server: RecoveringServer, context: RunContext) => Promise<void>) | undefined;
}

export type Recovered = Pick<
  PitrRecovered,
  'stopped' | 'lsn' | 'lastCommitAt' | 'databases' | 'structure' | 'segmentsReplayed' | 'url' | 'pid' | 'nextSteps'
>;

/** It was recovered as it was, damage included: another try would find the same, so what there is stays. */
export class DamagedCluster extends Error {}

export interface Running {
  /** Private: for socket, settings and log. */
  readonly folder: string;
  /** Filled as soon as there is a server to end. */
  readonly started: { server?: RecoveringServer };
}

export type CarriedOut = Omit<Recovered, 'url' | 'pid' | 'nextSteps'> & {
  readonly server: RecoveringServer;
  /** What `use` failed with. */
  readonly late: unknown;
};

/** Throws `DamagedCluster` for what another try would find again; the server in `started` is the caller's to end. */
export async function carryOut(
  options: RecoverOptions,
  places: RecoveryPlaces,
  { folder, started }: Running,
  context: RunContext,
): Promise<CarriedOut> {
  const { repository, plan } = options;
  const { facts } = plan;
  const { dataDir, tablespaces, owner } = places;
  const spool = join(folder, 'wal');
  const isThrowaway = options.places === undefined;
  const step = (message: string): void => context.emit({ type: 'step', component: 'base', message });
  step(`restoring base backup ${plan.manifest.id} (${formatBytes(plan.shown.baseBytes)}) to ${dataDir}`);
  await restoreFiles(options, places, context);
  await using wal = await serveWal({
    repository,
    inventory: plan.inventory,
    run: plan.run,
    segmentBytes: facts.walSegmentBytes,
    spool,
    owner,
    isThrowaway,
  });
  const quarters = await makeQuarters(folder, {
    isolation: options.isolation ?? { kind: 'none', owner },
    writable: [dataDir, ...tablespaces.map(({ to }) => to)],
    readable: [spool],
  });
  step(`replaying up to ${plan.shown.segments.count} WAL segments`);
  const server = await startRecovery({
    quarters,
    dataDir,
    isThrowaway,
    programs: plan.place.programs,
    facts,
    restoreCommand: wal.command,
    target: recoveryTarget(plan, options.inclusive),
  });
  started.server = server;
  const { stopped, position } = await replay(server, wal, plan, context);
  step(stopped);
  const checked = await readAndCheck(server, options, context);
  const late = await lateFailure(server, options, context);
  await leaveAsAsked(server, dataDir, options, context);
  const { lsn, lastCommitAt } = position;
  return { stopped, lsn, lastCommitAt, ...checked, segmentsReplayed: wal.delivered(), server, late };
}

async function restoreFiles(
  { repository, plan: { manifest, component }, places }: RecoverOptions,
  { dataDir, tablespaces, owner }: RecoveryPlaces,
  context: RunContext,
): Promise<void> {
  const reader = openArtifacts({
    storage: repository.storage,
    dataKey: await repository.dataKeyOf(manifest),
    artifacts: component.artifacts,
    trustChecksums: true,
  });
  const startedAt = performance.now();
  await restoreBase({ reader, dataDir, tablespaces, owner, isKept: places !== undefined }, context);
  const seconds = (performance.now() - startedAt) / 1000;
  context.emit({ type: 'timing', component: 'base', name: 'restore of the base backup', seconds });
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

async function readAndCheck(
  server: RecoveringServer,
  { action, plan, jobs }: RecoverOptions,
  context: RunContext,
): Promise<Pick<Recovered, 'databases' | 'structure'>> {
  // First of all: it ends what had not ended at the moment, a DROP TABLE say, and holds locks for ever while the replay
  // is held.
  const writable = action !== 'pause' && action !== 'standby';
  if (writable) await server.promote(context.signal);
  const databases = await server.readAll(context);
  const structure = await checkStructure(
    {
      url: server.url,
      databases,
      named: (database) => `database "${database}" of the recovered cluster`,
      component: 'base',
      programs: plan.place.programs,
      jobs,
      writable,
    },
    context,
  ).catch((error: unknown) => {
    throw error instanceof LifeboatError && error.code === 'integrity'
      ? new DamagedCluster('damaged', { cause: error })
      : error;
  });
  return { databases, structure };
}

async function lateFailure(server: RecoveringServer, { use }: RecoverOptions, context: RunContext): Promise<unknown> {
  return use?.(server, context).then(
    () => undefined,
    (error: unknown) => error ?? new Error('unknown'),
  );
}

async function leaveAsAsked(
  server: RecoveringServer,
  dataDir: string,
  { places, action, standbySettings }: RecoverOptions,
  { signal }: RunContext,
): Promise<void> {
  signal.throwIfAborted();
  // A throwaway cluster.
  if (places === undefined) return;
  if (action === 'shutdown' || action === 'standby') await server.shutDown(signal);
  if (action !== 'pause') await takeIntoUse(dataDir, standbySettings);
  // The commit point: from here on nothing is taken away any more.
  server.release();
}

function recoveryTarget({ target, run }: PitrPlan, inclusive: boolean): Record<string, string> {
  if (target.kind === 'immediate') return { recovery_target: 'immediate', recovery_target_timeline: 'current' };
  const timeline = { recovery_target_timeline: String(run.timeline) };
  const common = { ...timeline, recovery_target_inclusive: inclusive ? 'on' : 'off' };
  if (target.kind === 'latest') return timeline;
  if (target.kind === 'time') {
    return { ...common, recovery_target_time: recoveryTime(target.atUs) };
  }
  if (target.kind === 'name') return { ...timeline, recovery_target_name: target.name };
  return { ...common, [`recovery_target_${target.kind}`]: target.text };
}
