/**
 * Recovers a PostgreSQL cluster to a moment, into an empty folder: base backup, WAL up to there, every
 * table read. The folder becomes startable only when the recovery has reached its target.
 */
import { readFileSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { LoadedConfig } from '../config/load.ts';
import { LifeboatError, messageOf, systemCodeOf } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import { rememberPath } from '../lib/leftovers.ts';
import { formatBytes } from '../lib/units.ts';
import { openArtifacts } from '../repository/artifact-reader.ts';
import type { Repository } from '../repository/repository.ts';
import { baseArtifact } from '../source/postgres/base.ts';
import { restoreBase, takeIntoUse, type FolderOwner } from '../source/postgres/base-restore.ts';
import { startRecovery, type RecoveringServer } from '../source/postgres/recovery.ts';
import { audited } from './audited.ts';
import { noteWarnings } from './noting.ts';
import { collectLeftovers, withRepository } from './open-repository.ts';
import { pinned } from './pinned.ts';
import { endedEarly, refuseEarlyEnd } from './pitr-early-end.ts';
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
    if (request.dataDir !== undefined) await refuseFolder(request.dataDir, plan);
    if (request.dataDir !== undefined) await refuseUnreachable(request.dataDir, await ownerOf(request.dataDir, plan.place.owner));
    const checked = request.check ? await checkWal(repository, plan, watched) : undefined;
    if (onlyPlan || request.dataDir === undefined) return { ...plan.shown, outcome: 'planned', checked, warnings };
    const done = await carryOut(repository, plan, request, request.dataDir, watched);
    return { ...plan.shown, outcome: 'done', action: request.action, ...done, durationMs: performance.now() - started, warnings };
  });
}

async function refuseFolder(dataDir: string, { shown }: PitrPlan): Promise<void> {
  const state = 'nothing was changed';
  const names = await readdir(dataDir).catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw new LifeboatError('usage', `cannot recover into ${dataDir}: ${messageOf(error)}`, { state, cause: error });
  });
  if (names?.includes('postmaster.pid') === true) throw new LifeboatError('usage', `cannot recover into ${dataDir}: it is the data directory of a server that runs, or crashed (postmaster.pid)`, { state, hint: 'name another folder by --data-dir' });
  if (names !== undefined && names.length > 0) throw new LifeboatError('usage', `cannot recover into ${dataDir}: it is not empty`, { state, hint: 'name a folder that is empty or not there' });
  const { bavail, bsize } = await statfs(await existingParent(dataDir));
  const needBytes = shown.baseBytes * 1.05 + 256 * 1024 * 1024;
  if (bavail * bsize < needBytes) throw new LifeboatError('space', `cannot recover into ${dataDir}: ${formatBytes(needBytes)} are needed, ${formatBytes(bavail * bsize)} are free`, { state, hint: 'make room, or name a folder on another disk by --data-dir' });
}

/** The server runs as another user than root, and must get there. */
async function refuseUnreachable(dataDir: string, owner: FolderOwner | undefined): Promise<void> {
  if (owner === undefined) return;
  for (let folder = await existingParent(dirname(dataDir)); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    if ((mode & (uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001)) === 0) throw new LifeboatError('usage', `cannot recover into ${dataDir}: the server runs as user ${owner.uid}, who may not enter ${folder}`, { state: 'nothing was changed', hint: 'name another folder by --data-dir' });
    if (folder === dirname(folder)) return;
  }
}

async function existingParent(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) if ((await stat(folder).catch(() => undefined)) !== undefined || folder === dirname(folder)) return folder;
}

type Done = Pick<Extract<PitrResult, { outcome: 'done' }>, 'stopped' | 'databases' | 'segmentsReplayed' | 'url' | 'pid' | 'nextSteps'>;

async function carryOut(repository: Repository, plan: PitrPlan, request: PitrRequest, dataDir: string, context: RunContext): Promise<Done> {
  const owner = await ownerOf(dataDir, plan.place.owner);
  const isOurs = (await stat(dataDir).catch(() => undefined)) === undefined;
  // A folder that was there may be a mount point: the next run could not remove it.
  const remembered = isOurs ? rememberPath(dataDir) : undefined;
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
    await restoreBase({ tar: reader.open(baseArtifact), bytes: plan.shown.baseBytes, dataDir, owner }, context);
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
    for (const name of await readdir(dataDir).catch(() => [])) await rm(join(dataDir, name), { recursive: true, force: true, maxRetries: 5 });
    if (isOurs) await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
    throw withState(error, isOurs ? `${dataDir} was removed again` : `${dataDir} is empty again`);
  } finally {
    if (!keepsFolder) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    rememberedFolder[Symbol.dispose]();
    remembered?.[Symbol.dispose]();
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

/** Who the server runs as: not root. A folder that is somebody's already stays so. */
async function ownerOf(dataDir: string, fallback: FolderOwner | undefined): Promise<FolderOwner | undefined> {
  if (process.geteuid?.() !== 0) return undefined;
  const there = await stat(dataDir).catch(() => undefined);
  if (there !== undefined && there.uid !== 0) return { uid: there.uid, gid: there.gid };
  const [, , uid, gid] = readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':')).find(([name]) => name === 'postgres') ?? [];
  return uid === undefined ? fallback : { uid: Number(uid), gid: Number(gid) };
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
