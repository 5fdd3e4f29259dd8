/**
 * What log the archive holds: a window for each timeline of each cluster, what is missing in it, and how far the server
 * is ahead.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { exitCodeOf, exitCodeWarnings, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { listWal, listWalSystems, readWalObject, type WalObject } from '../../repository/wal/archive.ts';
import { parseHistory } from '../../source/postgres/wal/history.ts';
import { formatLsn, parseLsn, shownLsn } from '../../source/postgres/wal/lsn.ts';
import { segmentAt, segmentName, segmentNumber, timelineOf } from '../../source/postgres/wal/file-name.ts';
import { withRepository } from '../open-repository.ts';
import { pushedAtOnce, settled, type Seen } from './settled.ts';
import type { WalGap, WalServerLag, WalStatusRequest, WalStatusResult, WalSystem, WalTimeline } from './request.ts';
import type { Operation } from '../operation.ts';
import { targetNeeds } from '../complete.ts';

export const walStatusOperation: Operation<WalStatusRequest, WalStatusRequest, WalStatusResult> = {
  need: targetNeeds,
  complete: (options) => options,
  run: walStatus,
  exitCode: ({ systems, warnings }) => {
    const isWhole = systems.every(({ gaps, missingHistories }) => gaps.length + missingHistories.length === 0);
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
      systems.push(await surveySystem(repository, systemId));
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

/** With a push under way it is what will be there once that is done. */
export async function surveySystem(repository: Repository, systemId: string): Promise<WalSystem> {
  return settled(() => lookAtSystem(repository, systemId), hasGapAtEnd);
}

/** Within the last segments of a timeline; older gaps stay as they are. */
function hasGapAtEnd({ segmentBytes, timelines, gaps }: WalSystem): boolean {
  return gaps.some((gap) => {
    const of = timelines.find(({ timeline }) => timeline === timelineOf(gap.last));
    const end = of?.unfinished?.segment ?? of?.last;
    return (
      segmentBytes !== undefined &&
      end !== undefined &&
      segmentNumber(end, segmentBytes) - segmentNumber(gap.last, segmentBytes) <= pushedAtOnce
    );
  });
}

/** One pass over the names; of the contents only one segment and the histories are read. */
async function lookAtSystem(repository: Repository, systemId: string): Promise<Seen<WalSystem>> {
  let newestMs = 0;
  const timelines = new Map<number, WalTimeline>();
  const gaps: WalGap[] = [];
  const histories: WalObject[] = [];
  const unfinished = new Map<number, WalObject>();
  let segmentBytes: number | undefined;
  for await (const each of listWal(repository.storage, systemId)) {
    newestMs = Math.max(newestMs, each.modifiedMs);
    if (each.file.kind === 'history') histories.push(each);
    if (each.file.kind === 'unfinished') unfinished.set(each.file.timeline, each);
    if (each.file.kind !== 'segment') continue;
    // What is unfinished of a segment comes before it by name.
    unfinished.delete(each.file.timeline);
    const { name, timeline } = each.file;
    segmentBytes ??= (await readWalObject(repository, each.key, { force: true })).length;
    const before = timelines.get(timeline);
    if (before !== undefined) gaps.push(...gapBetween(before.last, name, segmentBytes));
    timelines.set(timeline, {
      timeline,
      first: before?.first ?? name,
      last: name,
      segments: (before?.segments ?? 0) + 1,
      storedBytes: (before?.storedBytes ?? 0) + each.sizeBytes,
    });
  }
  for (const each of unfinished.values()) {
    segmentBytes ??= (await readWalObject(repository, each.key, { force: true })).length;
    const { timeline, segment = '', lsn = 0n } = each.file;
    const before = timelines.get(timeline);
    if (before !== undefined) gaps.push(...gapBetween(before.last, segment, segmentBytes));
    const end = { segment, lsn: shownLsn(lsn), at: new Date(each.modifiedMs).toISOString() };
    timelines.set(timeline, {
      ...(before ?? { timeline, first: segment, last: segment, segments: 0, storedBytes: 0 }),
      unfinished: end,
    });
  }
  const missingHistories: string[] = [];
  for (const { timeline, first } of timelines.values()) {
    const history = histories.find((each) => each.file.timeline === timeline);
    if (history === undefined && timeline > 1) missingHistories.push(first.slice(0, 8).concat('.history'));
    if (history === undefined || segmentBytes === undefined) continue;
    const parent = parseHistory(
      (await readWalObject(repository, history.key, { force: true })).toString(),
      history.key,
    ).at(-1);
    const last = parent === undefined ? undefined : timelines.get(parent.timeline)?.last;
    if (parent === undefined || last === undefined) continue;
    gaps.push(...gapAtSwitch(timeline, parent.switchLsn, last, first, segmentBytes));
  }
  const sorted = [...timelines.values()].toSorted((a, b) => a.timeline - b.timeline);
  return { seen: { systemId, segmentBytes, timelines: sorted, gaps, missingHistories }, newestMs };
}

/** `before` and `after` are archived and of one timeline. */
function gapBetween(before: string, after: string, segmentBytes: number): WalGap[] {
  const timeline = timelineOf(after);
  const [from, to] = [segmentNumber(before, segmentBytes) + 1n, segmentNumber(after, segmentBytes) - 1n];
  return from > to
    ? []
    : [
        {
          first: segmentName(timeline, from, segmentBytes),
          last: segmentName(timeline, to, segmentBytes),
          segments: Number(to - from + 1n),
        },
      ];
}

/** The new timeline must begin with the segment of the switch, the old one reach the segment before it. */
function gapAtSwitch(
  timeline: number,
  switchLsn: bigint,
  parentLast: string,
  first: string,
  segmentBytes: number,
): WalGap[] {
  const at = segmentNumber(segmentAt(timeline, switchLsn, segmentBytes), segmentBytes);
  const parent = timelineOf(parentLast);
  return [
    ...gapBetween(parentLast, segmentName(parent, at, segmentBytes), segmentBytes),
    ...gapBetween(segmentName(timeline, at - 1n, segmentBytes), first, segmentBytes),
  ];
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
  const { withConnection } = await import('../../source/postgres/server/connection.ts');
  try {
    const [row] = await withConnection(url, { signal, connectTimeoutMs: 5000 }, async (connection) =>
      connection.query(`SELECT (SELECT system_identifier FROM pg_control_system()) AS system, lsn, pg_walfile_name(lsn) AS current, last_archived_wal, failed_count, last_failed_wal,
        extract(epoch FROM now() - last_archived_time) AS age FROM pg_stat_archiver, (SELECT pg_current_wal_lsn() AS lsn) AS position`),
    );
    const {
      system,
      lsn,
      current,
      last_archived_wal: last,
      failed_count: failures,
      last_failed_wal: failed,
      age,
    } = row ?? {};
    return {
      lag: {
        systemId: system ?? '',
        currentLsn: lsn ?? '',
        currentSegment: current ?? '',
        lastArchived: last ?? undefined,
        secondsSince: age === null || age === undefined ? undefined : Math.max(0, Math.round(Number(age))),
        failures: Number(failures ?? 0),
        lastFailed: failed ?? undefined,
      },
    };
  } catch (error) {
    signal.throwIfAborted();
    return { warning: `the server cannot be asked how far it is ahead: ${messageOf(error)}` };
  }
}
