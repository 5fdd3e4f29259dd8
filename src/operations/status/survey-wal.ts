/**
 * What status knows of write-ahead log: for each cluster in the archive the moments that can be recovered, how far
 * it reaches, what is missing, and, where the server can be asked in a moment, how far it is ahead and how its
 * archiver fares. Everything but that works without the server.
 */
import type { LoadedConfig } from '../../config/load.ts';
import type { RunContext } from '../../lib/events.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Repository } from '../../repository/repository.ts';
import { listWal, listWalSystems } from '../../repository/wal/archive.ts';
import { needWalName, walKey } from '../../repository/wal/names.ts';
import type { ArchiverState } from '../../source/postgres/server/archiver.ts';
import { NotFoundError } from '../../storage/storage.ts';
import { askServers, type AskedServer } from './wal-servers.ts';
import { mergeWindows, reachOf, type BaseReach, type Window } from './wal-window.ts';
import { isUnreadable, readBases, type KnownBase } from '../wal/bases.ts';
import type { WalGap, WalSystem } from '../wal/request.ts';
import { surveySystem } from '../wal/survey.ts';
import { formatLsn, parseLsn } from '../../source/postgres/wal/lsn.ts';
import { segmentName, segmentNumber } from '../../source/postgres/wal/file-name.ts';

/** One cluster's archive. Times RFC 3339 in UTC. */
export interface SurveyedWal extends WalSystem {
  /** Targets that it is of, as far as base backups or servers tell. */
  readonly targets: readonly string[];
  /** A configured target, or the only cluster there is: one that is expected to go on. */
  readonly isCurrent: boolean;
  readonly bases: number;
  /** Moments that can be recovered; oldest first. */
  readonly windows: readonly Window[];
  /** How the newest base backup's log goes on; undefined: there is no base backup. */
  readonly newest: BaseReach | undefined;
  /** Gaps behind the oldest base backup: they split the window. */
  readonly harmfulGaps: readonly WalGap[];
  /** How far the archive reaches, and the storage's stamp of when that came; undefined: it is empty. */
  readonly archived: { readonly lsn: string; readonly at: string } | undefined;
  readonly server: SurveyedServer | undefined;
  /** Why nothing else can be told. */
  readonly problem?: string | undefined;
}

/** What its server said. */
export interface SurveyedServer extends Pick<
  ArchiverState,
  'currentLsn' | 'archiveMode' | 'failures' | 'lastFailed' | 'lastFailedAt' | 'isFailing' | 'passwordEnd'
> {
  /** From the end of the archive to the server's. */
  readonly behindBytes: number;
  /** Of these, whole segments. */
  readonly behindSegments: number;
}

/** `listed`: the backups that count, newest first. */
export async function surveyWal(
  loaded: LoadedConfig,
  repository: Repository,
  listed: readonly ListedManifest[],
  context: RunContext,
): Promise<SurveyedWal[]> {
  const systems = await listWalSystems(repository.storage);
  if (systems.length === 0) return [];
  const [servers, bases] = await Promise.all([askServers(loaded, context), readBases(repository, listed)]);
  return Promise.all(
    systems.map(async (systemId) => {
      const server = servers.find(({ state }) => state.systemId === systemId);
      const own = bases.filter(({ facts }) => facts.systemIdentifier === systemId);
      const targets = [
        ...new Set([...own.map(({ target }) => target), ...(server === undefined ? [] : [server.target])]),
      ];
      const isCurrent = systems.length === 1 || targets.some((name) => isNewestOf(name, systemId, bases, servers));
      try {
        return await surveyOne(repository, systemId, own, targets, isCurrent, server?.state);
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        return { ...nothingKnown, systemId, targets, isCurrent, bases: own.length, problem: error.message };
      }
    }),
  );
}

const nothingKnown = {
  timelines: [],
  gaps: [],
  missingHistories: [],
  damaged: [],
  windows: [],
  newest: undefined,
  harmfulGaps: [],
  archived: undefined,
  server: undefined,
};

/** A cluster that was replaced (an upgrade) stays in the archive for a while, and is not expected to go on. */
function isNewestOf(
  target: string,
  systemId: string,
  bases: readonly KnownBase[],
  servers: readonly AskedServer[],
): boolean {
  const now =
    servers.find((each) => each.target === target)?.state.systemId ??
    bases.findLast((each) => each.target === target)?.facts.systemIdentifier;
  return now === systemId;
}

async function surveyOne(
  repository: Repository,
  systemId: string,
  bases: readonly KnownBase[],
  targets: readonly string[],
  isCurrent: boolean,
  server: ArchiverState | undefined,
): Promise<SurveyedWal> {
  const { system, log } = await surveySystem(repository, systemId);
  const end = await endOf(repository, system);
  const reaches = bases.map((base) => reachOf(base, log));
  const windows = await Promise.all(
    reaches.filter(({ isBroken }) => !isBroken).map(async (reach) => windowOf(repository, systemId, reach, end)),
  );
  const [oldest] = bases;
  const startOf = (size: number): bigint =>
    oldest === undefined ? 0n : parseLsn(oldest.facts.startLsn) / BigInt(size);
  return {
    ...system,
    targets,
    isCurrent,
    bases: bases.length,
    windows: mergeWindows(windows.flatMap((window) => window ?? [])),
    newest: reaches.at(-1),
    harmfulGaps:
      oldest === undefined
        ? []
        : system.gaps.filter(
            ({ last }) =>
              system.segmentBytes !== undefined &&
              segmentNumber(last, system.segmentBytes) >= startOf(system.segmentBytes),
          ),
    archived: end === undefined ? undefined : { lsn: formatLsn(end.lsn), at: new Date(end.atMs).toISOString() },
    server: server === undefined || server.isStandby ? undefined : serverOf(server, end),
  };
}

interface ArchiveEnd {
  readonly timeline: number;
  /** Number of the last whole segment. */
  readonly last: bigint;
  readonly lsn: bigint;
  readonly atMs: number;
}

/** Of the newest timeline; what a stream has of an unfinished segment counts. */
async function endOf(
  { storage }: Repository,
  { systemId, timelines, segmentBytes, damaged }: WalSystem,
): Promise<ArchiveEnd | undefined> {
  const newest = timelines.toSorted((a, b) => a.timeline - b.timeline).at(-1);
  if (newest === undefined || segmentBytes === undefined) return undefined;
  const last = segmentNumber(newest.last, segmentBytes);
  const untrue = new Set(damaged.map(({ object }) => object));
  let end: ArchiveEnd | undefined;
  for await (const { key, file, modifiedMs } of listWal(storage, systemId, {
    timeline: newest.timeline,
    from: newest.last,
  })) {
    if (untrue.has(key)) continue;
    if (file.kind === 'segment') {
      end = { timeline: newest.timeline, last, lsn: (last + 1n) * BigInt(segmentBytes), atMs: modifiedMs };
    }
    if (file.kind === 'unfinished' && file.lsn !== undefined && file.lsn > (end?.lsn ?? 0n)) {
      end = { timeline: newest.timeline, last, lsn: file.lsn, atMs: modifiedMs };
    }
  }
  return end;
}

/** Up to when: the stamp of the last segment that can be replayed; its last commit was a little before. */
async function windowOf(
  { storage }: Repository,
  systemId: string,
  { base: { facts }, last, lastTimeline, isCut }: BaseReach,
  end: ArchiveEnd | undefined,
): Promise<Window | undefined> {
  const from = facts.stoppedAt;
  const toMs =
    !isCut && end?.timeline === lastTimeline
      ? end.atMs
      : await stampOf(storage, walKey(systemId, needWalName(segmentName(lastTimeline, last, facts.walSegmentBytes))));
  return toMs === undefined ? undefined : { from, to: new Date(Math.max(toMs, Date.parse(from))).toISOString() };
}

async function stampOf(storage: Repository['storage'], key: string): Promise<number | undefined> {
  try {
    return (await storage.stat(key)).modifiedMs;
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

function serverOf({ segmentBytes, ...state }: ArchiverState, end: ArchiveEnd | undefined): SurveyedServer {
  const size = BigInt(segmentBytes);
  const { currentLsn, archiveMode, failures, lastFailed, lastFailedAt, isFailing, passwordEnd } = state;
  const current = parseLsn(currentLsn);
  const archived = end?.lsn ?? 0n;
  const whole = end === undefined ? 0n : current / size - archived / size;
  return {
    currentLsn,
    archiveMode,
    failures,
    lastFailed,
    lastFailedAt,
    isFailing,
    passwordEnd,
    behindBytes: Math.max(0, Number(current - archived)),
    behindSegments: Math.max(0, Number(whole)),
  };
}
