/**
 * Recovers a PostgreSQL cluster to a moment, into an empty folder: base backup, WAL up to there, every
 * table read. The folder becomes startable only when the recovery has reached its target.
 */
import { chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoadedConfig } from '../config/load.ts';
import { LifeboatError } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import { rememberPath } from '../lib/leftovers.ts';
import { formatBytes } from '../lib/units.ts';
import { openArtifacts } from '../repository/artifact-reader.ts';
import type { Repository } from '../repository/repository.ts';
import { restoreBase, takeIntoUse } from '../source/postgres/base-restore.ts';
import { startRecovery, type RecoveringServer } from '../source/postgres/recovery.ts';
import { audited } from './audited.ts';
import { noteWarnings } from './noting.ts';
import { collectLeftovers, withRepository } from './open-repository.ts';
import { pinned } from './pinned.ts';
import { endedEarly, refuseEarlyEnd } from './pitr-early-end.ts';
import { claimFolders, findPlaces, type RecoveryPlaces } from './pitr-places.ts';
import { checkWal, planPitr, type PitrPlan } from './pitr-plan.ts';
import type { PitrRequest, PitrResult } from './pitr-requests.ts';
import { formatMicroseconds } from './pitr-target.ts';
import { serveWal } from './pitr-wal-server.ts';

export const pitr = audited('pitr', recover);

async function recover(loaded: LoadedConfig, request: PitrRequest, context: RunContext): Promise<PitrResult> {
  const { context: watched, warnings } = noteWarnings(context);
  const onlyPlan = request.check || request.dryRun;
  if (!onlyPlan && request.action === 'pause' && request.to === 'latest') throw new LifeboatError('usage', 'there is no moment to pause at with --to latest', { hint: 'leave out --action, or name a moment' });
  if (!onlyPlan && request.dataDir === undefined) throw new LifeboatError('usage', 'no folder to recover into was named', { hint: 'name one that is empty or not there: --data-dir /path; or only plan: --dry-run, --check' });
  collectLeftovers(loaded, watched);
  const started = performance.now();
  return withRepository(loaded, watched, async (repository) => {
    const plan = await planPitr(loaded, request, repository, watched);
    await using _ = await pinned(repository, { scope: 'read', command: 'pitr', backupId: plan.manifest.id }, watched);
    const places = request.dataDir === undefined ? undefined : await findPlaces(plan, request.dataDir, request.tablespaceMap);
    const checked = request.check ? await checkWal(repository, plan, watched) : undefined;
    if (onlyPlan || places === undefined) return { ...plan.shown, outcome: 'planned', checked, warnings };
    const done = await carryOut(repository, plan, request, places, watched);
    return { ...plan.shown, outcome: 'done', action: request.action, ...done, durationMs: performance.now() - started, warnings };
  });
}

type Done = Pick<Extract<PitrResult, { outcome: 'done' }>, 'stopped' | 'databases' | 'segmentsReplayed' | 'url' | 'pid' | 'nextSteps'>;

async function carryOut(repository: Repository, plan: PitrPlan, request: PitrRequest, places: RecoveryPlaces, context: RunContext): Promise<Done> {
  const { dataDir, owner, tablespaces } = places;
  const claimed = await claimFolders(places);
  const folder = await mkdtemp(join(plan.place.parent, 'lifeboat-pitr-'));
  const rememberedFolder = rememberPath(folder);
  let server: RecoveringServer | undefined;
  let keepsFolder = false;
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await chmod(dataDir, 0o700);
    if (owner !== undefined) for (const path of [folder, dataDir]) await chown(path, owner.uid, owner.gid);
    context.emit({ type: 'step', component: 'base', message: `restoring base backup ${plan.manifest.id} (${formatBytes(plan.shown.baseBytes)}) to ${dataDir}` });
    const reader = openArtifacts({ storage: repository.storage, dataKey: await repository.dataKeyOf(plan.manifest), artifacts: plan.component.artifacts });
    const restoring = performance.now();
    await restoreBase({ reader, dataDir, tablespaces, owner }, context);
    context.emit({ type: 'timing', component: 'base', name: 'restore of the base backup', seconds: (performance.now() - restoring) / 1000 });
    await using wal = await serveWal({ repository, inventory: plan.inventory, run: plan.run, segmentBytes: plan.facts.walSegmentBytes, folder, owner });
    context.emit({ type: 'step', component: 'base', message: `replaying up to ${plan.shown.segments.count} WAL segments` });
    server = await startRecovery({ dataDir, folder, owner, programs: plan.place.programs, facts: plan.facts, restoreCommand: wal.command, target: recoveryTarget(plan, request) });
    const stopped = await server.reached(context).catch((error: unknown) => {
      // Why the server got no WAL tells more than that it ended.
      throw context.signal.aborted ? error : (wal.failure() ?? endedEarly(plan, error));
    });
    if (plan.target.kind === 'latest') refuseEarlyEnd(plan, server.replayedTo());
    context.emit({ type: 'step', component: 'base', message: stopped });
    const databases = await server.readAll(context);
    if (request.action !== 'pause') await server.promote();
    if (request.action === 'shutdown') await server.shutDown();
    context.signal.throwIfAborted();
    if (request.action !== 'pause') await takeIntoUse(dataDir);
    // The commit point: from here on nothing is taken away any more.
    server.release();
    keepsFolder = request.action !== 'shutdown';
    return { stopped, databases, segmentsReplayed: wal.delivered(), ...(keepsFolder ? { url: server.url.reveal(), pid: server.pid } : {}), nextSteps: nextSteps(request.action, dataDir, server, plan) };
  } catch (error) {
    await server?.kill().catch(() => {});
    throw withState(error, await claimed.clear());
  } finally {
    if (!keepsFolder) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    rememberedFolder[Symbol.dispose]();
    claimed.release();
  }
}

function withState(error: unknown, state: string): unknown {
  if (!(error instanceof LifeboatError) || error.state !== undefined) return error;
  return new LifeboatError(error.code, error.message, { hint: error.hint, state, retryable: error.retryable, facts: error.facts, cause: error });
}

function recoveryTarget({ target, run }: PitrPlan, { inclusive }: PitrRequest): Record<string, string> {
  if (target.kind === 'immediate') return { recovery_target: 'immediate', recovery_target_timeline: 'current' };
  const timeline = { recovery_target_timeline: String(run.timeline) };
  const common = { ...timeline, recovery_target_inclusive: inclusive ? 'on' : 'off' };
  if (target.kind === 'latest') return timeline;
  // While it reads its configuration the server knows no names of zones, not even Z.
  if (target.kind === 'time') return { ...common, recovery_target_time: formatMicroseconds(target.atUs).replace('T', ' ').replace('Z', '+00') };
  if (target.kind === 'name') return { ...timeline, recovery_target_name: target.name };
  return { ...common, [`recovery_target_${target.kind}`]: target.text };
}

function nextSteps(action: PitrRequest['action'], dataDir: string, { pid, url }: RecoveringServer, { place, facts }: PitrPlan): string[] {
  const outside = Object.values(facts.outsideFiles);
  if (action === 'pause') return [`look at it: psql '${url.reveal()}'`, `end it: kill -INT ${pid}, then remove ${dataDir}`, 'to take the cluster into use: the same command with --action shutdown and another --data-dir'];
  return [
    ...(action === 'promote' ? [`use it: psql '${url.reveal()}'`, `end it before you start it by its own configuration: kill -INT ${pid}`] : []),
    ...(outside.length === 0 ? [] : [`its configuration lay outside of the data directory: ${outside.join(', ')}`]),
    `start it: ${join(place.programs, 'pg_ctl')} -D ${dataDir} start`,
    'it does not archive (archive_mode = off in postgresql.auto.conf, so that it cannot disturb the archive of the old one): ALTER SYSTEM RESET archive_mode and restart once it takes over; then push the .history file of its new timeline in pg_wal (lifeboat wal push), and lifeboat backup base',
  ];
}
