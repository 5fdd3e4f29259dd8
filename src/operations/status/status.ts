/**
 * One verdict on the backups, why, and what to do next; which moments can be restored, how long it would take, when
 * that was last proven. Reads the repository and this host's state; servers whose log is archived are asked how far
 * they are, all may be down.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { exitCodeOf, exitCodeWarnings, LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { withRepository } from '../open-repository.ts';
import {
  statusDefaults,
  type RestoreEstimate,
  type StatusOptions,
  type StatusReason,
  type StatusRequest,
  type StatusResult,
  type StatusTarget,
  type StatusWal,
} from './request.ts';
import { readAcknowledged, type Acknowledgement } from './acknowledged.ts';
import { analyse } from './analytics.ts';
import { judge } from './judge.ts';
import { degraded } from './reason.ts';
import type { SurveyedWal } from './survey-wal.ts';
import { survey, type Survey } from './survey.ts';
import type { SurveyedTarget } from './survey-target.ts';
import type { Operation } from '../operation.ts';
import { given, surveyNeeds } from '../complete.ts';

/** Bytes a second that a restore is taken to move where none was measured: a modest server with a modest disk. */
const assumedBytesPerSecond = 30_000_000;
const assumption = 'no drill has measured it: 30 MB a second assumed';

export const statusOperation: Operation<StatusOptions, StatusRequest, StatusResult> = {
  need: () => surveyNeeds,
  complete: (options) => ({ ...statusDefaults, ...given(options) }),
  run: status,
  exitCode: ({ verdict }) => ({ healthy: 0, degraded: exitCodeWarnings, unhealthy: exitCodeOf.stale })[verdict],
};

/** Throws only what keeps it from looking at all (`not_found`, `key`, `storage`). */
export async function status(loaded: LoadedConfig, request: StatusRequest, context: RunContext): Promise<StatusResult> {
  const look = async (): Promise<StatusResult> => lookAt(loaded, request, context);
  if (request.notify !== true || loaded.config.notifications.channels.size === 0) return look();
  const { tellStatus } = await import('../notify/status-run.ts');
  return tellStatus(loaded.config, request.target, context, look);
}

async function lookAt(loaded: LoadedConfig, request: StatusRequest, context: RunContext): Promise<StatusResult> {
  return withRepository(loaded, context, async (repository) => {
    const { config } = loaded;
    const found = await survey(loaded, repository, request.target, Date.now(), context);
    if (request.target !== undefined && found.targets.length === 0) {
      throw new LifeboatError('usage', `there is no target ${request.target}`, {
        hint: `configured: ${[...config.targets.keys()].join(', ') || 'none'}`,
      });
    }
    const acknowledged = await readAcknowledged(config.stateDir, repository.repositoryId);
    const limits = { ...config.monitoring, maxAgeMs: request.maxAgeMs, days: request.days };
    const reasons = [...judge(found, limits), ...(await channelReasons(loaded, found.nowMs))].map((reason) =>
      withAcknowledgement(reason, acknowledged),
    );
    const open = reasons.filter((reason) => reason.acknowledged === undefined);
    const { storedBytes, freeBytes, capacityBytes, packs } = found.storage;
    return {
      repository: repository.storage.location,
      at: new Date(found.nowMs).toISOString(),
      verdict: verdictOf(open),
      reasons,
      next: open[0]?.next,
      targets: found.targets.map((target) => targetOf(target, found, request.days)),
      wal: found.wal.map(walOf),
      running: found.running,
      schedules: found.schedules,
      storage: {
        storedBytes,
        freeBytes,
        capacityBytes,
        budgetBytes: config.monitoring.storageBudgetBytes,
        packBytes: packs?.packBytes,
        deadBytes: packs?.deadBytes,
      },
    };
  });
}

async function channelReasons({ config }: LoadedConfig, nowMs: number): Promise<StatusReason[]> {
  if (config.notifications.channels.size === 0) return [];
  const { channelProblems } = await import('../notify/channel-reasons.ts');
  return (await channelProblems(config, nowMs)).map(({ id, message, next }) => degraded(id, message, next));
}

/** What cannot be meant to be stays: that there is no backup, an old one, or a damaged one. */
export function mayBeAcknowledged({ id, weight }: Pick<StatusReason, 'id' | 'weight'>): boolean {
  return weight === 'degraded' || /^(chain|rollback|hidden):/.test(id);
}

/** `open`: what was not acknowledged. */
function verdictOf(open: readonly StatusReason[]): StatusResult['verdict'] {
  if (open.some(({ weight }) => weight === 'unhealthy')) return 'unhealthy';
  return open.length > 0 ? 'degraded' : 'healthy';
}

function withAcknowledgement(reason: StatusReason, acknowledged: ReadonlyMap<string, Acknowledgement>): StatusReason {
  const said = acknowledged.get(reason.id);
  return said === undefined || !mayBeAcknowledged(reason) ? reason : { ...reason, acknowledged: said };
}

function targetOf(target: SurveyedTarget, { nowMs }: Survey, days: number): StatusTarget {
  const { name, configured, backups, proof } = target;
  const [newest] = backups;
  return {
    name,
    components: configured.map((component) => {
      const latest = backups.find(({ components }) => components.includes(component));
      const due = target.due.get(component);
      return {
        name: component,
        newestId: latest?.id,
        takenAt: latest?.startedAt,
        ageMs: latest === undefined ? undefined : nowMs - Date.parse(latest.startedAt),
        schedules: due?.schedules,
        dueAt: due?.dueMs === undefined ? undefined : new Date(due.dueMs).toISOString(),
        nextAt: due?.nextMs === undefined ? undefined : new Date(due.nextMs).toISOString(),
      };
    }),
    newest:
      newest === undefined
        ? undefined
        : {
            id: newest.id,
            takenAt: newest.startedAt,
            ageMs: nowMs - Date.parse(newest.startedAt),
            state: newest.standing?.state,
            standing: newest.standing,
          },
    newestProven: proof === undefined ? undefined : { id: proof.id, provenAt: proof.at },
    provenMoment: target.recovery,
    restoreTime: estimate(target),
    moments: backups.map(({ id, startedAt, type, durationMs, components, standing, flaws }) => ({
      id,
      at: startedAt,
      type,
      durationMs,
      components,
      state: standing?.state,
      isDamaged: standing?.failing === true || flaws.size > 0 ? true : standing?.failing,
    })),
    analytics: analyse(target, nowMs, days),
  };
}

function walOf({
  systemId,
  targets,
  isCurrent,
  bases,
  windows,
  timelines,
  gaps,
  missingHistories,
  damaged,
  archived,
  server,
  problem,
}: SurveyedWal): StatusWal {
  return {
    systemId,
    targets,
    isCurrent,
    bases,
    windows,
    timelines,
    gaps,
    missingHistories,
    damaged,
    archived,
    server: server && toldOf(server),
    problem,
  };
}

/** When a password ends is told as a reason only. */
function toldOf(server: NonNullable<SurveyedWal['server']>): StatusWal['server'] {
  const { currentLsn, archiveMode, failures, lastFailed, lastFailedAt, isFailing, ...behind } = server;
  const { behindBytes, behindSegments } = behind;
  return { currentLsn, archiveMode, failures, lastFailed, lastFailedAt, isFailing, behindBytes, behindSegments };
}

/** As measured by the newest drill that proved something, in proportion to what the newest backup holds. */
function estimate({ backups: [newest], proof }: SurveyedTarget): RestoreEstimate | undefined {
  if (newest === undefined) return undefined;
  if (proof === undefined) {
    return { ms: Math.round((newest.readBytes / assumedBytesPerSecond) * 1000), basis: 'assumed', assumption };
  }
  const factor = proof.id === newest.id || proof.readBytes === 0 ? 1 : Math.max(1, newest.readBytes / proof.readBytes);
  return {
    ms: Math.round(proof.restoreMs * factor),
    basis: 'measured',
    ofBackup: proof.id,
    measuredAt: proof.at,
    steps: proof.steps,
    isolation: proof.isolation,
  };
}
