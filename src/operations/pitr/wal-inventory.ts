/**
 * What WAL the repository has from a base backup on: along which timelines, up to where without a gap,
 * and which moments lie in it. Read before a recovery, so that it is known beforehand whether it can succeed.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { listWal } from '../../repository/wal/archive.ts';
import { type HistoryLine, parseHistory } from '../../source/postgres/wal/history.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import { historyName, segmentName, segmentNumber } from '../../source/postgres/wal/file-name.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { lastRecordIn, marksIn } from '../../source/postgres/wal/dumped-records.ts';
import { restorePointsIn, withoutPageHeaders } from '../../source/postgres/wal/records.ts';
import { runWaldump } from '../../source/postgres/wal/waldump.ts';
import { readSegment } from '../wal/segment.ts';
import { pushedAtOnce, settled, type Seen } from '../wal/settled.ts';
import { segmentsOfBase } from '../wal/base-segments.ts';

/** Everything of one cluster that is archived, by name. */
export interface WalInventory {
  readonly systemId: string;
  readonly segments: ReadonlySet<string>;
  /** Segments of which there is a beginning, by a stream: of use only as the end of the log. */
  readonly unfinished: ReadonlySet<string>;
  /** Timeline → its ancestors. */
  readonly histories: ReadonlyMap<number, readonly HistoryLine[]>;
  /** Histories that are there and cannot be read. */
  readonly damagedHistories: ReadonlyMap<number, LifeboatError>;
  /** Timelines with segments. */
  readonly timelines: ReadonlySet<number>;
}

/** The segments to replay from a base backup on, in order and without a gap. */
export interface WalRun {
  readonly timeline: number;
  readonly names: readonly string[];
  readonly first: bigint;
  readonly last: bigint;
  /** Of the segment that is missing although later ones are there, or that is damaged. */
  readonly missing: string | undefined;
  /** Why it is of no use, if it is there. */
  readonly damage?: LifeboatError | undefined;
}

/** With a push under way it is what will be there once that is done. */
export async function takeInventory(repository: Repository, systemId: string): Promise<WalInventory> {
  return settled(
    () => listInventory(repository, systemId),
    ({ segments }) => hasHoleAtEnd([...segments]),
  );
}

/** Within the last segments of a timeline, as many as a push may have under way; names in their order. */
function hasHoleAtEnd(names: readonly string[]): boolean {
  const low = (name: string): number => Number.parseInt(name.slice(16), 16);
  return names.some((name, n) => {
    const before = names[n - 1];
    if (before === undefined || before.slice(0, 8) !== name.slice(0, 8) || low(name) === low(before) + 1) return false;
    const isNextLog =
      low(name) === 0 && Number.parseInt(name.slice(8, 16), 16) === Number.parseInt(before.slice(8, 16), 16) + 1;
    return !isNextLog && (names[n + pushedAtOnce] ?? '').slice(0, 8) !== name.slice(0, 8);
  });
}

async function listInventory(repository: Repository, systemId: string): Promise<Seen<WalInventory>> {
  let newestMs = 0;
  const segments = new Set<string>();
  const unfinished = new Set<string>();
  const timelines = new Set<number>();
  const histories = new Map<number, HistoryLine[]>();
  const damagedHistories = new Map<number, LifeboatError>();
  for await (const { file, modifiedMs } of listWal(repository.storage, systemId)) {
    newestMs = Math.max(newestMs, modifiedMs);
    if (file.kind === 'segment') {
      segments.add(file.name);
      timelines.add(file.timeline);
    }
    if (file.kind === 'unfinished' && file.segment !== undefined) {
      unfinished.add(file.segment);
      timelines.add(file.timeline);
    }
    if (file.kind !== 'history') continue;
    try {
      histories.set(
        file.timeline,
        parseHistory((await readSegment(repository, systemId, file.name)).toString('utf8'), file.name),
      );
    } catch (error) {
      // It may be that of a timeline which is not needed.
      damagedHistories.set(file.timeline, damageOf(error));
    }
  }
  return { seen: { systemId, segments, unfinished, timelines, histories, damagedHistories }, newestMs };
}

/** Whatever else went wrong is thrown on. */
function damageOf(error: unknown): LifeboatError {
  if (error instanceof LifeboatError && error.code === 'integrity') return error;
  throw error;
}

/**
 * The timeline to recover along. Throws `window` (17) if the wanted one does not descend from the base backup's,
 * `integrity` (14) naming a history file that is missing.
 */
export function chooseTimeline(inventory: WalInventory, base: BaseFacts, wanted: number | undefined): number {
  const descends = (timeline: number): boolean =>
    timeline === base.timeline ||
    inventory.histories
      .get(timeline)
      ?.some((line) => line.timeline === base.timeline && line.switchLsn >= parseLsn(base.stopLsn)) === true;
  const damaged = [...inventory.damagedHistories].find(
    ([timeline]) => timeline > base.timeline && (wanted === undefined || wanted === timeline),
  );
  if (damaged !== undefined) {
    throw new LifeboatError('integrity', damaged[1].message, {
      state: 'nothing was changed',
      hint: 'stay on an older timeline with --timeline',
      cause: damaged[1],
    });
  }
  const orphan = [...inventory.timelines].find(
    (timeline) =>
      timeline > base.timeline && !inventory.histories.has(timeline) && (wanted === undefined || wanted === timeline),
  );
  if (orphan !== undefined) {
    throw new LifeboatError(
      'integrity',
      `the history file ${historyName(orphan)} is missing, although there is WAL of timeline ${orphan}`,
      {
        state: 'nothing was changed',
        hint: 'push it again from pg_wal of the server; or stay on an older timeline with --timeline',
      },
    );
  }
  if (wanted === undefined) return Math.max(base.timeline, ...[...inventory.histories.keys()].filter(descends));
  if (descends(wanted)) return wanted;
  throw new LifeboatError(
    'window',
    `timeline ${wanted} does not come from timeline ${base.timeline} after ${base.stopLsn}, where the base backup ends`,
    { state: 'nothing was changed' },
  );
}

/** All that can be replayed from the base backup on. */
export function runOf({ segments, unfinished, histories }: WalInventory, base: BaseFacts, timeline: number): WalRun {
  const size = BigInt(base.walSegmentBytes);
  const lines = timeline === base.timeline ? [] : (histories.get(timeline) ?? []);
  // Oldest first; each from the segment in which its ancestor ended.
  const path = [...lines, { timeline }].map((line, n) => ({
    timeline: line.timeline,
    from: n === 0 ? 0n : (lines[n - 1]?.switchLsn ?? 0n) / size,
  }));
  const { first } = segmentsOfBase(base);
  const names: string[] = [];
  // The segment of a switch is that of the new timeline, which begins with what the old one had up to there: the old
  // one's own may go on into another history.
  const nameOf = (number: bigint): string =>
    segmentName(path.findLast(({ from }) => number >= from)?.timeline ?? base.timeline, number, base.walSegmentBytes);
  let number = first;
  for (; segments.has(nameOf(number)); number++) names.push(nameOf(number));
  const isLater = [...segments, ...unfinished].some(
    (name) =>
      segmentNumber(name, base.walSegmentBytes) > number && nameOf(segmentNumber(name, base.walSegmentBytes)) === name,
  );
  // With anything behind it, what is only begun is a gap.
  if (!isLater && unfinished.has(nameOf(number))) names.push(nameOf(number++));
  return { timeline, names, first, last: number - 1n, missing: isLater ? nameOf(number) : undefined };
}

/** The same run up to before its last segments, if they are damaged: what lies before them can be recovered. */
export async function readableRun(repository: Repository, systemId: string, run: WalRun): Promise<WalRun> {
  let { names } = run;
  let damage: LifeboatError | undefined;
  for (let name = names.at(-1); name !== undefined; name = names.at(-1)) {
    try {
      await readSegment(repository, systemId, name);
      break;
    } catch (error) {
      damage = damageOf(error);
      names = names.slice(0, -1);
    }
  }
  return damage === undefined
    ? run
    : { ...run, names, last: run.first + BigInt(names.length) - 1n, missing: run.names[names.length], damage };
}

/** What the end of a run holds. Times in microseconds since 1970. */
export interface RunEnd {
  readonly lastCommitUs: bigint | undefined;
  /** Where the last record begins. */
  readonly lastRecordLsn: bigint | undefined;
}

/**
 * Looks from the end backwards until a commit is found. `programs`: folder with pg_waldump of the cluster's version.
 */
export async function endOfRun(
  repository: Repository,
  systemId: string,
  run: WalRun,
  programs: string,
  { signal }: RunContext,
): Promise<RunEnd> {
  let lastRecordLsn: bigint | undefined;
  for (const name of run.names.toReversed()) {
    signal.throwIfAborted();
    const bytes = await readSegment(repository, systemId, name);
    const { text } = await runWaldump([{ name, bytes }], { programs, signal });
    lastRecordLsn ??= lastRecordIn(text);
    const times = marksIn(text).flatMap((mark) => (mark.kind === 'end' ? [mark.atUs] : []));
    if (times.length > 0) return { lastRecordLsn, lastCommitUs: times.reduce((a, b) => (a > b ? a : b)) };
  }
  return { lastRecordLsn, lastCommitUs: undefined };
}

/**
 * In which segment of the run (its place in it) a named restore point lies, behind `afterLsn`; the last one of that
 * name. Undefined: none.
 */
export async function findRestorePoint(
  repository: Repository,
  systemId: string,
  run: WalRun,
  point: { readonly name: string; readonly afterLsn: bigint; readonly segmentBytes: number },
  { signal }: RunContext,
): Promise<number | undefined> {
  let found: number | undefined;
  let before: Buffer = Buffer.alloc(0);
  for (const [place, name] of run.names.entries()) {
    signal.throwIfAborted();
    const start = (run.first + BigInt(place)) * BigInt(point.segmentBytes);
    const payload = Buffer.concat([before, withoutPageHeaders(await readSegment(repository, systemId, name))]);
    if (restorePointsIn(payload, point.name).some((at) => start + BigInt(at - before.length) >= point.afterLsn)) {
      found ??= place;
    }
    // A record may go on in the next segment.
    before = Buffer.from(payload.subarray(-256));
  }
  return found;
}
