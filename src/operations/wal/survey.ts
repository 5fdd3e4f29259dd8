/**
 * What log the archive has of one cluster, by one pass over its names; of the contents only its first and its newest
 * segment and the histories are read.
 */
import type { Repository } from '../../repository/repository.ts';
import { listWal, openWalObject, readWalObject, type WalObject } from '../../repository/wal/archive.ts';
import { readLogMemory } from '../../repository/wal/memory.ts';
import { DamagedError } from '../../repository/box/seal.ts';
import { segmentName } from '../../source/postgres/wal/file-name.ts';
import { parseHistory, type HistoryLine } from '../../source/postgres/wal/history.ts';
import { shownLsn } from '../../source/postgres/wal/lsn.ts';
import { firstOf, gapsIn, hasGapAtEnd, HeldTimelines, lastOf, missingHistories, type HeldLog } from './gaps.ts';
import type { DamagedLog, WalSystem, WalTimeline } from './request.ts';
import { settled, type Seen } from './settled.ts';
import { withTrueEnd } from './true-end.ts';

export interface WalSurvey {
  /** For people and programs. */
  readonly system: WalSystem;
  /** Undefined while no segment is archived. */
  readonly log: HeldLog | undefined;
}

/**
 * With a push under way it is what will be there once that is done. Throws `integrity` (14) for a history that cannot
 * be read.
 */
export async function surveySystem(repository: Repository, systemId: string): Promise<WalSurvey> {
  return settled(
    () => lookAtSystem(repository, systemId),
    ({ log }) => log !== undefined && hasGapAtEnd(log),
  );
}

/** What a timeline takes, and the end of what a stream has of its unfinished segment. */
interface Tally {
  segments: number;
  storedBytes: number;
  unfinished: WalObject | undefined;
}

async function lookAtSystem(repository: Repository, systemId: string): Promise<Seen<WalSurvey>> {
  let newestMs = 0;
  let segmentBytes: number | undefined;
  let held: HeldTimelines | undefined;
  const tallies = new Map<number, Tally>();
  const histories: WalObject[] = [];
  const damaged: DamagedLog[] = [];
  const memory = await readLogMemory(repository.state);
  const listed = withTrueEnd(repository, listWal(repository.storage, systemId), memory);
  for await (const { object: each, problem } of listed) {
    newestMs = Math.max(newestMs, each.modifiedMs);
    const { kind, timeline } = each.file;
    if (problem !== undefined) {
      damaged.push({ object: each.key, problem });
      continue;
    }
    if (kind === 'history') histories.push(each);
    if (kind !== 'segment' && kind !== 'unfinished') continue;
    const size = segmentBytes ?? (await sizeOf(repository, each));
    if (typeof size === 'object') {
      damaged.push(size);
      continue;
    }
    segmentBytes = size;
    held ??= new HeldTimelines(segmentBytes);
    held.add(each.file);
    const tally = tallies.get(timeline) ?? { segments: 0, storedBytes: 0, unfinished: undefined };
    tallies.set(timeline, tally);
    tally.unfinished = kind === 'unfinished' ? each : undefined;
    if (kind === 'unfinished') continue;
    tally.segments++;
    tally.storedBytes += each.sizeBytes;
  }
  if (held === undefined || segmentBytes === undefined) return { seen: emptySurvey(systemId, damaged), newestMs };
  const { timelines } = held;
  const log = { segmentBytes, timelines, histories: await readHistories(repository, histories, timelines) };
  return { seen: { log, system: { ...systemOf(systemId, log, tallies), damaged } }, newestMs };
}

/** Of the segments of a cluster; or that this one, the first that is read, is not what was stored. */
async function sizeOf(repository: Repository, { key }: WalObject): Promise<number | DamagedLog> {
  try {
    return (await openWalObject(repository, key, { force: true })).bytes;
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    return { object: key, problem: error.reason };
  }
}

function emptySurvey(systemId: string, damaged: readonly DamagedLog[]): WalSurvey {
  return {
    log: undefined,
    system: { systemId, segmentBytes: undefined, timelines: [], gaps: [], missingHistories: [], damaged },
  };
}

/** Of the timelines that have segments. */
async function readHistories(
  repository: Repository,
  objects: readonly WalObject[],
  timelines: HeldLog['timelines'],
): Promise<Map<number, readonly HistoryLine[]>> {
  const histories = new Map<number, readonly HistoryLine[]>();
  for (const { key, file } of objects.filter((each) => timelines.has(each.file.timeline))) {
    const text = (await readWalObject(repository, key, { force: true })).toString();
    histories.set(file.timeline, parseHistory(text, key));
  }
  return histories;
}

function systemOf(systemId: string, log: HeldLog, tallies: ReadonlyMap<number, Tally>): Omit<WalSystem, 'damaged'> {
  const timelines = [...log.timelines.keys()].map((timeline) => timelineOf(log, timeline, tallies.get(timeline)));
  const { segmentBytes } = log;
  return { systemId, segmentBytes, timelines, gaps: gapsIn(log), missingHistories: missingHistories(log) };
}

function timelineOf({ timelines, segmentBytes }: HeldLog, timeline: number, tally: Tally | undefined): WalTimeline {
  const nameOf = (number = 0n): string => segmentName(timeline, number, segmentBytes);
  const held = timelines.get(timeline);
  const { segments = 0, storedBytes = 0, unfinished } = tally ?? {};
  const whole = { timeline, first: nameOf(firstOf(held)), last: nameOf(lastOf(held)), segments, storedBytes };
  if (unfinished === undefined) return whole;
  const { file, modifiedMs } = unfinished;
  const end = { lsn: shownLsn(file.lsn ?? 0n), at: new Date(modifiedMs).toISOString() };
  return { ...whole, unfinished: { segment: file.segment ?? '', ...end } };
}
