/**
 * What stands against a recovery to a moment: an archive that has stopped, gaps, missing histories, log without a base
 * backup. Pure.
 */
import { formatDuration } from '../../lib/time.ts';
import { formatBytes } from '../../lib/units.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import { segmentName, segmentNumber } from '../../source/postgres/wal/file-name.ts';
import type { StatusReason } from './request.ts';
import type { SurveyedWal } from './survey-wal.ts';
import { count } from '../component.ts';

/**
 * Archived segments may be so old while the server goes on writing; then, and from when on it is more than a nuisance.
 */
const stoppedAfterMs = 15 * 60_000;
const lostAfterMs = 60 * 60_000;
/** So many whole segments may wait their turn. */
const waitingSegments = 3;

/** `quietMs`: so long a server that does not answer may send nothing. */
export function judgeWal(wal: SurveyedWal, nowMs: number, quietMs: number): StatusReason[] {
  const { systemId, problem } = wal;
  if (problem !== undefined) {
    return [
      {
        id: `wal-damaged:${systemId}`,
        weight: 'unhealthy',
        message: `the write-ahead log of cluster ${systemId} cannot be judged: ${problem}`,
        next: 'lifeboat wal status',
      },
    ];
  }
  return [...ofBases(wal), ...ofGaps(wal), ...ofHistories(wal), ...(wal.isCurrent ? ofFlow(wal, nowMs, quietMs) : [])];
}

function ofBases({ systemId, targets, bases, isCurrent, newest, windows }: SurveyedWal): StatusReason[] {
  const target = targets[0];
  const next = `lifeboat backup base${target === undefined ? '' : ` --target ${target}`}`;
  if (bases === 0 && isCurrent) {
    return [
      {
        id: `wal-no-base:${systemId}`,
        weight: 'degraded',
        target,
        message: `write-ahead log of cluster ${systemId} is archived, but there is no base backup to replay it from`,
        next,
      },
    ];
  }
  if (newest === undefined || !(newest.isBroken || newest.isCut)) return [];
  const { base, last, lastTimeline } = newest;
  const missing = segmentName(lastTimeline, last + 1n, base.facts.walSegmentBytes);
  const loss = newest.isBroken
    ? 'it cannot be recovered from'
    : `moments after ${windows.at(-1)?.to ?? base.facts.stoppedAt} cannot be recovered`;
  return [
    {
      id: `wal-cut:${systemId}:${missing}`,
      weight: 'unhealthy',
      target: base.target,
      message: `segment ${missing} is missing behind the newest base backup ${base.id}: ${loss}`,
      next,
    },
  ];
}

function ofGaps({ systemId, targets, segmentBytes, newest, harmfulGaps }: SurveyedWal): StatusReason[] {
  if (newest === undefined || segmentBytes === undefined) return [];
  const start = parseLsn(newest.base.facts.startLsn) / BigInt(segmentBytes);
  const earlier = harmfulGaps.filter(({ last }) => segmentNumber(last, segmentBytes) < start);
  return earlier.map(({ first, last, segments }) => ({
    id: `wal-gap:${systemId}:${first}`,
    weight: 'degraded' as const,
    target: targets[0],
    message:
      `${count(segments, 'segment')} of log missing, ${first} to ${last}: moments from there to the next base ` +
      'backup cannot be recovered',
    next: 'lifeboat wal status',
  }));
}

/** Without the newest one a recovery to the latest moment ends on an older timeline, without a word. */
function ofHistories({ systemId, targets, missingHistories, timelines }: SurveyedWal): StatusReason[] {
  const newest = Math.max(0, ...timelines.map(({ timeline }) => timeline));
  return missingHistories.map((name) => ({
    id: `wal-history:${systemId}:${name}`,
    weight: Number.parseInt(name, 16) === newest ? ('unhealthy' as const) : ('degraded' as const),
    target: targets[0],
    message:
      `${name} of cluster ${systemId} is not archived: it tells where ` +
      'that timeline begins; push it from pg_wal of the server',
    next: `lifeboat wal push <data directory>/pg_wal/${name}`,
  }));
}

function ofFlow({ systemId, targets, archived, server }: SurveyedWal, nowMs: number, quietMs: number): StatusReason[] {
  if (archived === undefined) return [];
  const ageMs = nowMs - Date.parse(archived.at);
  const of = `cluster ${systemId}${targets.length === 0 ? '' : ` (${targets.join(', ')})`}`;
  const next = `lifeboat doctor${targets[0] === undefined ? '' : ` --target ${targets[0]}`}`;
  if (server === undefined) {
    if (ageMs <= quietMs) return [];
    return [
      {
        id: `wal-quiet:${systemId}:${archived.at}`,
        weight: 'degraded',
        target: targets[0],
        message: `no write-ahead log of ${of} has come for ${formatDuration(ageMs)}, and its server cannot be asked why`,
        next,
      },
    ];
  }
  const { behindSegments, behindBytes, isFailing, archiveMode, lastFailed } = server;
  const hasStopped =
    behindSegments > 0 &&
    ageMs > stoppedAfterMs &&
    (isFailing || archiveMode === 'off' || behindSegments >= waitingSegments);
  if (!hasStopped) return [];
  const why = isFailing
    ? `archive_command fails (last for ${lastFailed ?? 'a segment'})`
    : archiveMode === 'off'
      ? 'archive_mode is off'
      : 'the server archives elsewhere, or its archiver hangs';
  const message =
    `archiving of ${of} has stopped: nothing has come for ${formatDuration(ageMs)}, and the server is ` +
    `${count(behindSegments, 'segment')} (${formatBytes(behindBytes)}) ahead; ${why}`;
  return [
    {
      id: `wal-stopped:${systemId}:${archived.at}`,
      weight: ageMs > lostAfterMs ? 'unhealthy' : 'degraded',
      target: targets[0],
      message,
      next,
    },
  ];
}
