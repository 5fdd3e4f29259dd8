/**
 * What stands against a recovery to a moment: an archive that has stopped, gaps, missing histories, log without a base
 * backup. Pure.
 */
import { formatDuration } from '../../lib/time.ts';
import { counted, formatBytes } from '../../lib/units.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import { degraded, unhealthy } from './reason.ts';
import { segmentNumber } from '../../source/postgres/wal/file-name.ts';
import type { StatusReason } from './request.ts';
import type { SurveyedWal } from './survey-wal.ts';
import { renewalMs } from '../renewal.ts';

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
    const message = `the write-ahead log of cluster ${systemId} cannot be judged: ${problem}`;
    return [unhealthy(`wal-damaged:${systemId}`, message, 'lifeboat wal status')];
  }
  return [
    ...ofDamage(wal),
    ...ofBases(wal),
    ...ofGaps(wal),
    ...ofHistories(wal),
    ...(wal.isCurrent ? [...ofFlow(wal, nowMs, quietMs), ...ofPassword(wal, nowMs)] : []),
  ];
}

function ofDamage({ systemId, targets, damaged }: SurveyedWal): StatusReason[] {
  const [first, ...others] = damaged;
  if (first === undefined) return [];
  const more = others.length === 0 ? '' : `; so are ${counted(others.length, 'other object')} of its log`;
  const message = `${first.object} is not what was stored: ${first.problem}${more}`;
  return [unhealthy(`wal-damaged:${systemId}:${first.object}`, message, 'lifeboat wal status', targets[0])];
}

function ofBases({ systemId, targets, bases, isCurrent, newest, windows }: SurveyedWal): StatusReason[] {
  const target = targets[0];
  const next = `lifeboat backup base${target === undefined ? '' : ` --target ${target}`}`;
  if (bases === 0 && isCurrent) {
    const message = `write-ahead log of cluster ${systemId} is archived, but there is no base backup to replay it from`;
    return [degraded(`wal-no-base:${systemId}`, message, next, target)];
  }
  if (newest === undefined || !(newest.isBroken || newest.isCut)) return [];
  const { base, next: missing } = newest;
  const loss = newest.isBroken
    ? 'it cannot be recovered from'
    : `moments after ${windows.at(-1)?.to ?? base.facts.stoppedAt} cannot be recovered`;
  const message = `segment ${missing} is missing behind the newest base backup ${base.id}: ${loss}`;
  return [unhealthy(`wal-cut:${systemId}:${missing}`, message, next, base.target)];
}

function ofGaps({ systemId, targets, segmentBytes, newest, harmfulGaps }: SurveyedWal): StatusReason[] {
  if (newest === undefined || segmentBytes === undefined) return [];
  const start = parseLsn(newest.base.facts.startLsn) / BigInt(segmentBytes);
  const earlier = harmfulGaps.filter(({ last }) => segmentNumber(last, segmentBytes) < start);
  return earlier.map(({ first, last, segments }) => {
    const loss = 'moments from there to the next base backup cannot be recovered';
    const message = `${counted(segments, 'segment')} of log missing, ${first} to ${last}: ${loss}`;
    return degraded(`wal-gap:${systemId}:${first}`, message, 'lifeboat wal status', targets[0]);
  });
}

/** Without the newest one a recovery to the latest moment ends on an older timeline, without a word. */
function ofHistories({ systemId, targets, missingHistories, timelines }: SurveyedWal): StatusReason[] {
  const newest = Math.max(0, ...timelines.map(({ timeline }) => timeline));
  return missingHistories.map((name) => {
    const advice = 'it tells where that timeline begins; push it from pg_wal of the server';
    const message = `${name} of cluster ${systemId} is not archived: ${advice}`;
    const next = `lifeboat wal push <data directory>/pg_wal/${name}`;
    const isNewest = Number.parseInt(name, 16) === newest;
    return (isNewest ? unhealthy : degraded)(`wal-history:${systemId}:${name}`, message, next, targets[0]);
  });
}

function ofFlow({ systemId, targets, archived, server }: SurveyedWal, nowMs: number, quietMs: number): StatusReason[] {
  if (archived === undefined) return [];
  const ageMs = nowMs - Date.parse(archived.at);
  const age = formatDuration(ageMs);
  const of = `cluster ${systemId}${targets.length === 0 ? '' : ` (${targets.join(', ')})`}`;
  const next = `lifeboat doctor${targets[0] === undefined ? '' : ` --target ${targets[0]}`}`;
  if (server === undefined) {
    if (ageMs <= quietMs) return [];
    const message = `no write-ahead log of ${of} has come for ${age}, and its server cannot be asked why`;
    return [degraded(`wal-quiet:${systemId}:${archived.at}`, message, next, targets[0])];
  }
  if (!hasStopped(server, ageMs)) return [];
  const ahead = `${counted(server.behindSegments, 'segment')} (${formatBytes(server.behindBytes)}) ahead`;
  const what = `nothing has come for ${age}, and the server is ${ahead}; ${whyStopped(server)}`;
  const message = `archiving of ${of} has stopped: ${what}`;
  const judged = ageMs > lostAfterMs ? unhealthy : degraded;
  return [judged(`wal-stopped:${systemId}:${archived.at}`, message, next, targets[0])];
}

function ofPassword({ targets: [target], server }: SurveyedWal, nowMs: number): StatusReason[] {
  const end = server?.passwordEnd;
  if (end === undefined || end.endsMs - nowMs >= renewalMs) return [];
  const { role, endsMs } = end;
  const of = `the password of role ${role}, by which ${target ?? 'a target'} may be reached,`;
  const message = `${of} is valid until ${new Date(endsMs).toISOString()}`;
  const judged = endsMs <= nowMs ? unhealthy : degraded;
  const next = `lifeboat doctor${target === undefined ? '' : ` --target ${target}`}`;
  return [judged(`password:${target ?? ''}:${role}`, message, next, target)];
}

type SurveyedServer = NonNullable<SurveyedWal['server']>;

function hasStopped({ behindSegments, isFailing, archiveMode }: SurveyedServer, ageMs: number): boolean {
  if (behindSegments <= 0 || ageMs <= stoppedAfterMs) return false;
  return isFailing || archiveMode === 'off' || behindSegments >= waitingSegments;
}

function whyStopped({ isFailing, archiveMode, lastFailed }: SurveyedServer): string {
  if (isFailing) return `archive_command fails (last for ${lastFailed ?? 'a segment'})`;
  return archiveMode === 'off' ? 'archive_mode is off' : 'the server archives elsewhere, or its archiver hangs';
}
