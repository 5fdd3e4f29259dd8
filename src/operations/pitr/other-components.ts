/** Redis and files have no log: they come from their newest backups before the moment, and how long before is said. */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import type { PitrOther, PitrOtherPlanned, PitrRequest } from './request.ts';
import { formatMicroseconds, parseTime } from './moment.ts';
import type { RestoredComponent, RestoreRequest } from '../restore/request.ts';
import { restore } from '../restore/restore.ts';
import { kindOf } from '../component.ts';
import { filesDefaults, postgresDefaults, redisDefaults } from '../restore/request.ts';

/**
 * Chooses the backups and plans their restores. Throws `window` (17) where a component has none before the moment, and
 * whatever keeps it from being restored.
 */
export async function planOthers(
  loaded: LoadedConfig,
  request: PitrRequest,
  target: string,
  repository: Repository,
  momentUs: bigint,
  context: RunContext,
): Promise<PitrOtherPlanned[]> {
  const planned: PitrOtherPlanned[] = [];
  for (const component of new Set(request.with)) {
    const { id, at } = await newestBefore(repository, target, component, momentUs);
    const result = await restore(loaded, { ...requestOf(request, target, component, id), dryRun: true }, context);
    const steps =
      result.outcome === 'planned'
        ? result.steps.map((step) => ({ component: step.component, to: step.to, action: step.action }))
        : [];
    planned.push({ component, id, at, distanceMs: Math.max(0, Number(momentUs / 1000n) - Date.parse(at)), steps });
  }
  return planned;
}

export interface RestoredOthers {
  readonly restored: readonly RestoredComponent[];
  readonly safetyBackupIds: readonly string[];
}

/** Restores them one after the other. */
export async function restoreOthers(
  loaded: LoadedConfig,
  request: PitrRequest,
  target: string,
  planned: readonly PitrOtherPlanned[],
  context: RunContext,
): Promise<RestoredOthers> {
  const restored: RestoredComponent[] = [];
  const safetyBackupIds: string[] = [];
  for (const { component, id } of planned) {
    const result = await restore(loaded, requestOf(request, target, component, id), context);
    if (result.outcome !== 'done') continue;
    restored.push(...result.components);
    if (result.safetyBackupId !== undefined) safetyBackupIds.push(result.safetyBackupId);
  }
  return { restored, safetyBackupIds };
}

async function newestBefore(
  repository: Repository,
  target: string,
  component: PitrOther,
  momentUs: bigint,
): Promise<{ readonly id: string; readonly at: string }> {
  let oldest: string | undefined;
  let best: { readonly id: string; readonly at: string; readonly endUs: bigint } | undefined;
  for await (const { manifest, trust } of repository.listManifests()) {
    const found = manifest?.components.find(({ kind }) => kind === kindOf(component));
    if (manifest === undefined || found === undefined || trust !== 'sealed' || manifest.target !== target) continue;
    const endUs = parseTime(found.finishedAt);
    if (oldest === undefined || found.finishedAt < oldest) oldest = found.finishedAt;
    // What was read while it was taken may be of its end.
    if (endUs <= momentUs && (best === undefined || endUs > best.endUs)) {
      best = { id: manifest.id, at: found.startedAt, endUs };
    }
  }
  if (best !== undefined) return best;
  throw new LifeboatError('window', `there is no backup of ${component} before ${formatMicroseconds(momentUs)}`, {
    state: 'nothing was changed',
    hint:
      oldest === undefined
        ? `target ${target} has none at all: leave it out of --with`
        : `the oldest is of ${oldest}: leave ${component} out of --with, or restore that one by lifeboat restore`,
  });
}

/** All questions were asked before the recovery began. */
function requestOf(request: PitrRequest, target: string, component: PitrOther, id: string): RestoreRequest {
  return {
    id,
    target,
    only: [component],
    postgres: postgresDefaults,
    redis: request.others?.redis ?? redisDefaults,
    files: request.others?.files ?? filesDefaults,
    safetyBackup: request.safetyBackup !== false,
    force: false,
    dryRun: false,
    confirm: async () => {},
  };
}
