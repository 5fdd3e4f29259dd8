/**
 * Without a base backup and its log a moment cannot be reached. What can be had is the newest logical backup
 * before it: into a cluster of its own, or into a live server; and what was written between is said to be lost.
 */
import { join } from 'node:path';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { formatDuration } from '../../lib/time.ts';
import { flawOf } from '../../repository/manifests/flaws.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { postgresFacts, type PostgresFacts } from '../../source/postgres/facts/facts.ts';
import { requireAuthority } from '../authority.ts';
import { factsOf, readComponentFacts } from '../backup-facts.ts';
import { refuseForeignRights } from './foreign-rights.ts';
import { logicalBackups } from './logical-backups.ts';
import { restoreIntoNewCluster, type NewCluster } from './new-cluster.ts';
import { planInto } from './plan-into.ts';
import { planOthers, restoreOthers } from './other-components.ts';
import type { NoBaseError } from './no-base.ts';
import type { PitrFallback, PitrOtherPlanned, PitrRequest, PitrResult } from './request.ts';
import { parseTarget, parseTime } from './moment.ts';
import type { Replaced } from '../restore/step.ts';
import type { RestoredComponent, RestoreRequest } from '../restore/request.ts';
import { restore } from '../restore/restore.ts';
import { filesDefaults, redisDefaults } from '../restore/request.ts';

interface LogicalBackup {
  readonly manifest: Manifest;
  readonly component: ManifestComponent;
  readonly facts: PostgresFacts;
  /** When its last snapshot was taken. */
  readonly at: string;
}

export interface FallbackWork {
  readonly loaded: LoadedConfig;
  readonly repository: Repository;
  readonly request: PitrRequest;
  /** Why there is no better way. */
  readonly why: NoBaseError;
  readonly at: Date;
  /** Asks before anything is replaced. */
  readonly ask: (replaced: readonly Replaced[], target: string, context: RunContext) => Promise<void>;
}

/**
 * Throws the error that says why where there is no logical backup before the moment either, or where the moment is no
 * time.
 */
export async function fallBack(work: FallbackWork, context: RunContext): Promise<PitrResult> {
  const { repository, request, why, at } = work;
  const startedMs = performance.now();
  const moment = parseTarget(request.to, at.getTime());
  if (moment.kind !== 'time' && moment.kind !== 'latest') throw why;
  const momentUs = moment.kind === 'time' ? moment.atUs : BigInt(at.getTime()) * 1000n;
  refuseTablesIntoLive(request, why);
  const newest = (isFlawed: boolean): ReturnType<typeof newestBefore> =>
    newestBefore(repository, why.target, momentUs, isFlawed);
  const found = (await newest(false)) ?? (await newest(true));
  if (found === undefined) {
    throw new LifeboatError('window', `${why.message}, and no logical backup from before that moment`, {
      state: 'nothing was changed',
      hint: 'lifeboat list shows what there is',
    });
  }
  await refuseForeignRights(repository, found.manifest.id, request, context);
  await refuseForeignRoles(repository, found.manifest.id, request, context);
  const { plan, replaces } = await planFallback(work, found, moment.text, momentUs, context);
  context.emit({
    type: 'warning',
    message:
      `${why.message}: the newest logical backup before that moment takes its place, ${plan.id} of ${found.at}; ` +
      `what was written in the ${formatDuration(plan.lostMs)} after it is lost`,
  });
  const flaw = flawOf({ components: [found.component] });
  if (flaw !== undefined) {
    context.emit({ type: 'warning', message: `backup ${plan.id} is of a damaged source: ${flaw}` });
  }
  if (request.check || request.dryRun) return { ...plan, outcome: 'fallback-planned', warnings: [] };
  await work.ask(replaces, plan.target, context);
  const made = await carryOut(work, found, plan.others ?? [], context);
  return { ...plan, ...made, outcome: 'fallback', durationMs: performance.now() - startedMs, warnings: [] };
}

async function planFallback(
  { loaded, repository, request, why, at }: FallbackWork,
  { manifest: { id, target }, at: takenAt }: LogicalBackup,
  to: string,
  momentUs: bigint,
  context: RunContext,
): Promise<{ readonly plan: PitrFallback; readonly replaces: readonly Replaced[] }> {
  const { intoDatabase, dataDir, with: components = [] } = request;
  const into = intoDatabase === undefined ? undefined : await planInto(loaded, target, intoDatabase, at, context);
  const others =
    components.length === 0 ? undefined : await planOthers(loaded, request, target, repository, momentUs, context);
  const lostMs = Math.max(0, Number(momentUs - parseTime(takenAt)) / 1000);
  const plan = { id, target, to, reason: why.message, at: takenAt, lostMs, dataDir, copies: into?.steps, others };
  return { plan, replaces: into?.replaces ?? [] };
}

/** A new cluster gets the roles of the backup, and everybody who can come in by them. */
async function refuseForeignRoles(
  repository: Repository,
  id: string,
  { dataDir }: PitrRequest,
  { emit }: RunContext,
): Promise<void> {
  if (dataDir === undefined) return;
  const isVouchedFor = await repository.vouchesFor(await repository.readManifest(id));
  const hint = `or start a new server by hand, and: lifeboat restore ${id} --force --globals`;
  requireAuthority({ id, isVouchedFor, isForced: false }, 'roles and grants', hint, emit);
}

function refuseTablesIntoLive({ intoDatabase }: PitrRequest, why: NoBaseError): void {
  if (intoDatabase?.intoLive !== true || intoDatabase.tables.length === 0) return;
  throw new LifeboatError('usage', `${why.message}, and tables of a logical backup are not put into a live database`, {
    state: 'nothing was changed',
    hint: 'leave out --into-live: they come into a new database beside it',
  });
}

type Made = Pick<
  Extract<PitrResult, { outcome: 'fallback' }>,
  'copied' | 'restored' | 'safetyBackupId' | 'url' | 'pid' | 'nextSteps'
>;

async function carryOut(
  { loaded, repository, request }: FallbackWork,
  found: LogicalBackup,
  planned: readonly PitrOtherPlanned[],
  context: RunContext,
): Promise<Made> {
  const { manifest } = found;
  const { dataDir, intoDatabase, action } = request;
  const cluster =
    dataDir === undefined
      ? undefined
      : await restoreIntoNewCluster({ loaded, repository, ...found, dataDir, action }, context);
  const copied: RestoredComponent[] = [...(cluster?.components ?? [])];
  const saved: (string | undefined)[] = [];
  if (intoDatabase !== undefined) {
    const result = await restore(loaded, intoLive(request, intoDatabase, manifest), context);
    if (result.outcome === 'done') {
      copied.push(...result.components);
      saved.push(result.safetyBackupId);
    }
  }
  const { restored, safetyBackupIds } = await restoreOthers(loaded, request, manifest.target, planned, context);
  saved.push(...safetyBackupIds);
  return {
    copied,
    restored: planned.length === 0 ? undefined : restored,
    safetyBackupId: saved.find((id) => id !== undefined),
    url: cluster?.url,
    pid: cluster?.pid,
    nextSteps: dataDir === undefined || cluster === undefined ? [] : nextSteps(dataDir, cluster),
  };
}

/** It was asked before. */
function intoLive(
  { safetyBackup }: PitrRequest,
  postgres: RestoreRequest['postgres'],
  { id, target }: Manifest,
): RestoreRequest {
  return {
    id,
    target,
    only: ['database'],
    postgres,
    redis: redisDefaults,
    files: filesDefaults,
    safetyBackup: safetyBackup !== false,
    force: false,
    dryRun: false,
    confirm: async () => {},
  };
}

function nextSteps(dataDir: string, { url, pid, programs }: NewCluster): string[] {
  const running =
    url === undefined
      ? []
      : [`use it: psql '${url}'`, `end it before you start it by its own configuration: kill -INT ${pid}`];
  return [
    ...running,
    `start it: ${join(programs, 'pg_ctl')} -D ${dataDir} start`,
    'its configuration is that of a new cluster: take over what the old one had',
  ];
}

/** The snapshot of every database in it must be from before the moment. `isFlawed`: of a damaged source. */
async function newestBefore(
  repository: Repository,
  target: string | undefined,
  momentUs: bigint,
  isFlawed: boolean,
): Promise<LogicalBackup | undefined> {
  let best: LogicalBackup | undefined;
  for await (const { manifest, component } of logicalBackups(repository, target)) {
    if (parseTime(component.startedAt) > momentUs || (component.flaws !== undefined) !== isFlawed) continue;
    if (best !== undefined && parseTime(component.finishedAt) < parseTime(best.at)) continue;
    const facts = factsOf(postgresFacts, await readComponentFacts(repository, manifest), component, manifest.id);
    const snapshots = facts.databases.map(({ snapshot }) => snapshot.takenAt).toSorted();
    const at = snapshots.at(-1) ?? component.startedAt;
    if (parseTime(at) <= momentUs && (best === undefined || parseTime(at) > parseTime(best.at))) {
      best = { manifest, component, facts, at };
    }
  }
  return best;
}
