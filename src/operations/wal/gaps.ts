/**
 * What is a gap in the archived log of a cluster: the one place that decides it, for `wal status`, `status`, a recovery
 * and a stream that begins. A timeline is whole where each segment follows the one before; a timeline that came from
 * another one begins with the segment of the switch, which holds what the old one had up to there, and the old one
 * reaches the segment before it. Pure.
 */
import type { WalName } from '../../repository/wal/names.ts';
import { historyName, segmentName, segmentNumber, timelineOf } from '../../source/postgres/wal/file-name.ts';
import type { HistoryLine } from '../../source/postgres/wal/history.ts';
import type { WalGap } from './request.ts';

/** Whole segments that follow each other: numbers, both inclusive. */
export interface SegmentRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** What there is of one timeline. */
export interface HeldTimeline {
  /** Ascending; between two of them there is a gap. Empty where there is only a beginning. */
  readonly ranges: readonly SegmentRange[];
  /** Number of a segment behind all whole ones of which there is only a beginning: the end of the log. */
  readonly unfinished: bigint | undefined;
}

/** What the archive holds of one cluster's log. */
export interface HeldLog {
  readonly segmentBytes: number;
  /** Those with segments, ascending. */
  readonly timelines: ReadonlyMap<number, HeldTimeline>;
  /** Timeline → its ancestors, oldest first. */
  readonly histories: ReadonlyMap<number, readonly HistoryLine[]>;
}

const nothing: HeldTimeline = { ranges: [], unfinished: undefined };

/** A push has no more segments under way at a time: a hole farther from the end was not left by it. */
export const pushedAtOnce = 16;

/** Gathers what is held while the archive is listed: of each timeline by position, a segment's beginning before it. */
export class HeldTimelines {
  readonly #segmentBytes: number;
  readonly #timelines = new Map<
    number,
    { ranges: { first: bigint; last: bigint }[]; unfinished: bigint | undefined }
  >();

  constructor(segmentBytes: number) {
    this.#segmentBytes = segmentBytes;
  }

  /** What is neither a segment nor the beginning of one is passed over: a `.partial` file is of an ended timeline. */
  add({ kind, timeline, segment }: Pick<WalName, 'kind' | 'timeline' | 'segment'>): void {
    if (segment === undefined || (kind !== 'segment' && kind !== 'unfinished')) return;
    const number = segmentNumber(segment, this.#segmentBytes);
    const held = this.#timelines.get(timeline) ?? { ranges: [], unfinished: undefined };
    this.#timelines.set(timeline, held);
    held.unfinished = kind === 'unfinished' ? number : undefined;
    if (kind === 'unfinished') return;
    const range = held.ranges.at(-1);
    if (range !== undefined && range.last + 1n === number) range.last = number;
    else held.ranges.push({ first: number, last: number });
  }

  get timelines(): ReadonlyMap<number, HeldTimeline> {
    return new Map([...this.#timelines].toSorted(([a], [b]) => a - b));
  }
}

/** All gaps: within timelines, before an unfinished segment, and where a timeline came from another one. */
export function gapsIn(log: HeldLog): WalGap[] {
  const { timelines } = log;
  const within = [...timelines].flatMap(([timeline, { ranges }]) =>
    ranges.flatMap((range, n) => gapBetween(log, timeline, ranges[n - 1]?.last, range.first)),
  );
  const atEnd = [...timelines].flatMap(([timeline, { ranges, unfinished }]) =>
    unfinished === undefined ? [] : gapBetween(log, timeline, ranges.at(-1)?.last, unfinished),
  );
  return [...within, ...atEnd, ...[...timelines.keys()].flatMap((timeline) => gapsAtSwitch(log, timeline))];
}

/** Names of the history files without which it is not known where a timeline came from. */
export function missingHistories({ timelines, histories }: Pick<HeldLog, 'timelines' | 'histories'>): string[] {
  return [...timelines.keys()].filter((each) => each > 1 && !histories.has(each)).map(historyName);
}

/** There is a gap within the last segments of a timeline, which a push under way may close; older ones stay. */
export function hasGapAtEnd(log: HeldLog): boolean {
  return gapsIn(log).some(({ last }) => {
    const end = endOf(log.timelines.get(timelineOf(last)));
    return end !== undefined && end - segmentNumber(last, log.segmentBytes) <= pushedAtOnce;
  });
}

/** How far log can be replayed from a segment on. */
export interface HeldReach {
  /** Of the last whole segment without a gap before it, and on which timeline it lies; one before the start: none. */
  readonly last: bigint;
  readonly lastTimeline: number;
  /** The name of the segment behind it. */
  readonly next: string;
  /** There is a beginning of that one, and nothing behind it: the log ends in it. */
  readonly endsUnfinished: boolean;
  /** There is more log behind, and that one is missing. */
  readonly isCut: boolean;
}

/** From segment `first` of timeline `from` on, along the way that leads to timeline `along`. */
export function reachOfLog(log: HeldLog, from: number, first: bigint, along: number): HeldReach {
  const parts = wayTo(log, from, along);
  const partAt = (number: bigint): Part | undefined => parts.findLast((each) => number >= each.from);
  let next = first;
  let lastTimeline = from;
  for (;;) {
    const part = partAt(next);
    const range = part?.ranges.find((each) => each.first <= next && next <= each.last);
    if (part === undefined || range === undefined) break;
    next = (part.to !== undefined && part.to < range.last ? part.to : range.last) + 1n;
    lastTimeline = part.timeline;
  }
  const hasLater = parts.some((part) => holdsBehind(part, next));
  const part = partAt(next);
  return {
    last: next - 1n,
    lastTimeline,
    next: segmentName(part?.timeline ?? from, next, log.segmentBytes),
    endsUnfinished: !hasLater && part?.unfinished === next,
    isCut: hasLater,
  };
}

/** Names from segment `first` up to `last`, along the same way. */
export function namesOnWay(
  log: Pick<HeldLog, 'segmentBytes' | 'histories'>,
  from: number,
  along: number,
  { first, last }: SegmentRange,
): string[] {
  const parts = wayTo({ ...log, timelines: new Map() }, from, along);
  const names: string[] = [];
  for (let number = first; number <= last; number++) {
    const part = parts.findLast((each) => number >= each.from);
    names.push(segmentName(part?.timeline ?? from, number, log.segmentBytes));
  }
  return names;
}

/** True if the whole segment of that name is there. */
export function holdsWhole({ timelines, segmentBytes }: HeldLog, name: string): boolean {
  const number = segmentNumber(name, segmentBytes);
  const held = timelines.get(timelineOf(name));
  return held?.ranges.some(({ first, last }) => first <= number && number <= last) === true;
}

/** So many promotions back the segment before a stream's first may lie. */
const timelinesBack = 10;

/**
 * Names of the segments that close the log before a stream which begins with `first`: with any of them in the archive
 * there is no gap. That is the segment itself, or the one before it on its timeline or an earlier one.
 */
export function closingBefore(first: string, segmentBytes: number): string[] {
  const [timeline, before] = [timelineOf(first), segmentNumber(first, segmentBytes) - 1n];
  if (before < 0n) return [first];
  const back = Array.from({ length: Math.min(timeline, timelinesBack) }, (_, n) => timeline - n);
  return [first, ...back.map((each) => segmentName(each, before, segmentBytes))];
}

/** What of a timeline belongs to the way that leads to a later one. */
interface Part extends HeldTimeline {
  readonly timeline: number;
  readonly from: bigint;
  /** Undefined: to its end. */
  readonly to: bigint | undefined;
}

/**
 * Oldest first; each from the segment in which its ancestor ended. That segment is the new timeline's, which begins it
 * with what the old one had up to the switch: the old one's own may go on into another history.
 */
function wayTo({ segmentBytes, timelines, histories }: HeldLog, from: number, along: number): Part[] {
  const lines = along === from ? [] : (histories.get(along) ?? []);
  const starts = [0n, ...lines.map(({ switchLsn }) => switchLsn / BigInt(segmentBytes))];
  return [...lines.map(({ timeline }) => timeline), along].map((timeline, n) => {
    const next = starts[n + 1];
    const { ranges, unfinished } = timelines.get(timeline) ?? nothing;
    return { timeline, from: starts[n] ?? 0n, to: next === undefined ? undefined : next - 1n, ranges, unfinished };
  });
}

/** Something of this part lies behind the segment with that number. */
function holdsBehind({ from, to, ranges, unfinished }: Part, number: bigint): boolean {
  const ends = [...ranges, ...(unfinished === undefined ? [] : [{ first: unfinished, last: unfinished }])];
  return ends.some(({ first, last }) => {
    const [lowest, highest] = [greatest(first, from, number + 1n), to === undefined || last < to ? last : to];
    return lowest <= highest;
  });
}

function greatest(...numbers: readonly [bigint, ...bigint[]]): bigint {
  return numbers.reduce((a, b) => (a > b ? a : b));
}

/** `before` and `after` are there, and nothing between them. */
function gapBetween({ segmentBytes }: HeldLog, timeline: number, before: bigint | undefined, after: bigint): WalGap[] {
  if (before === undefined || before + 1n >= after) return [];
  const [first, last] = [before + 1n, after - 1n];
  return [
    {
      first: segmentName(timeline, first, segmentBytes),
      last: segmentName(timeline, last, segmentBytes),
      segments: Number(last - first + 1n),
    },
  ];
}

/** The new timeline must begin with the segment of the switch, the old one reach the segment before it. */
function gapsAtSwitch(log: HeldLog, timeline: number): WalGap[] {
  const { timelines, histories, segmentBytes } = log;
  const parent = histories.get(timeline)?.at(-1);
  const parentLast = parent === undefined ? undefined : lastOf(timelines.get(parent.timeline));
  const first = firstOf(timelines.get(timeline));
  if (parent === undefined || parentLast === undefined || first === undefined) return [];
  const at = parent.switchLsn / BigInt(segmentBytes);
  return [...gapBetween(log, parent.timeline, parentLast, at), ...gapBetween(log, timeline, at - 1n, first)];
}

/** Number of the first segment, or of the only beginning of one. */
export function firstOf(held: HeldTimeline | undefined): bigint | undefined {
  return held?.ranges[0]?.first ?? held?.unfinished;
}

/** Number of the last whole segment, or of the only beginning of one. */
export function lastOf(held: HeldTimeline | undefined): bigint | undefined {
  return held?.ranges.at(-1)?.last ?? held?.unfinished;
}

function endOf(held: HeldTimeline | undefined): bigint | undefined {
  return held?.unfinished ?? lastOf(held);
}
