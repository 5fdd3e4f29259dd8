/**
 * What log the archive holds: a window for each timeline of each cluster, what is missing in it, and how far the server
 * is ahead.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { exitCodeOf, exitCodeWarnings, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { listWalSystems } from '../../repository/wal/archive.ts';
import type { ArchiverState } from '../../source/postgres/server/archiver.ts';
import { segmentNumber } from '../../source/postgres/wal/file-name.ts';
import { formatLsn, parseLsn } from '../../source/postgres/wal/lsn.ts';
import { withRepository } from '../open-repository.ts';
import type { WalServerLag, WalStatusRequest, WalStatusResult, WalSystem } from './request.ts';
import { surveySystem } from './survey.ts';
import type { Operation } from '../operation.ts';
import { targetNeeds } from '../complete.ts';

export const walStatusOperation: Operation<WalStatusRequest, WalStatusRequest, WalStatusResult> = {
  need: targetNeeds,
  complete: (options) => options,
  run: walStatus,
  exitCode: ({ systems, warnings }) => {
    const isWhole = systems.every(
      ({ gaps, missingHistories, damaged }) => gaps.length + missingHistories.length + damaged.length === 0,
    );
    if (!isWhole) return exitCodeOf.integrity;
    return warnings.length > 0 ? exitCodeWarnings : 0;
  },
};

export async function walStatus(
  loaded: LoadedConfig,
  request: WalStatusRequest,
  context: RunContext,
): Promise<WalStatusResult> {
  return withRepository(loaded, context, async (repository) => {
    const systems: WalSystem[] = [];
    for (const systemId of await listWalSystems(repository.storage)) {
      systems.push((await surveySystem(repository, systemId)).system);
    }
    const { lag, warning } = await lagOf(loaded, request, context);
    const system = systems.find(({ systemId }) => systemId === lag?.systemId);
    return {
      repository: repository.storage.location,
      systems,
      lag: lag === undefined ? undefined : { ...lag, ...behind(system, lag.currentLsn) },
      warnings: warning === undefined ? [] : [warning],
    };
  });
}

/** How far the archive reaches on its newest timeline, and what the server has written since. */
function behind(system: WalSystem | undefined, currentLsn: string): Pick<WalServerLag, 'archivedLsn' | 'behindBytes'> {
  const newest = system?.timelines.at(-1);
  if (newest === undefined || system?.segmentBytes === undefined) return {};
  const archivedLsn =
    newest.unfinished?.lsn ??
    formatLsn((segmentNumber(newest.last, system.segmentBytes) + 1n) * BigInt(system.segmentBytes));
  return { archivedLsn, behindBytes: Math.max(0, Number(parseLsn(currentLsn) - parseLsn(archivedLsn))) };
}

async function lagOf(
  { config }: LoadedConfig,
  { target }: WalStatusRequest,
  { signal }: RunContext,
): Promise<{ lag?: WalServerLag | undefined; warning?: string }> {
  const name = target ?? config.defaultTarget ?? [...config.targets.keys()][0];
  const url = name === undefined ? undefined : config.targets.get(name)?.postgres?.url;
  if (url === undefined) return {};
  try {
    const { askArchiver } = await import('../../source/postgres/server/archiver.ts');
    const state = await askArchiver(url, { signal, connectTimeoutMs: 5000 });
    if (state.systemId === undefined) return { warning: 'the server does not say which cluster it is of' };
    return { lag: { systemId: state.systemId, ...lagIn(state) } };
  } catch (error) {
    signal.throwIfAborted();
    return { warning: `the server cannot be asked how far it is ahead: ${messageOf(error)}` };
  }
}

function lagIn(state: ArchiverState): Omit<WalServerLag, 'systemId'> {
  const { currentLsn, currentSegment, isStandby, lastArchived, lastArchivedAgoMs, failures, lastFailed } = state;
  const secondsSince = lastArchivedAgoMs === undefined ? undefined : Math.round(lastArchivedAgoMs / 1000);
  const standby = isStandby ? { standby: true } : {};
  return { currentLsn, currentSegment, ...standby, lastArchived, secondsSince, failures, lastFailed };
}
