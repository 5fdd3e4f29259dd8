/**
 * From which moments to which the archived log of a cluster can be replayed: each base backup opens a window that
 * reaches as far as the log behind it has no gap, over promotions too. Pure.
 */
import type { HistoryLine } from '../../source/postgres/wal/history.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import { segmentNumber, timelineOf } from '../../source/postgres/wal/file-name.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import type { WalSystem } from '../wal/request.ts';

export interface KnownBase {
  readonly id: string;
  readonly target: string;
  readonly facts: BaseFacts;
}

export type Histories = ReadonlyMap<number, readonly HistoryLine[]>;

/** What one base backup can replay. */
export interface BaseReach {
  readonly base: KnownBase;
  /** Along which timeline. */
  readonly timeline: number;
  /** Of the last segment that can be replayed, and on which timeline it lies. */
  readonly last: bigint;
  readonly lastTimeline: number;
  /** Its own log is not all there: it is of no use. */
  readonly isBroken: boolean;
  /** There is more log behind the last segment, but something between is missing. */
  readonly isCut: boolean;
}

interface Range {
  readonly from: bigint;
  readonly to: bigint;
}

/** By the summary that `wal status` gives: segments from first to last but for the gaps. */
export function reachOf(
  base: KnownBase,
  system: Pick<WalSystem, 'timelines' | 'gaps'>,
  histories: Histories,
): BaseReach {
  const { facts } = base;
  const size = facts.walSegmentBytes;
  const numberOf = (name: string): bigint => segmentNumber(name, size);
  const timeline = newestDescendant(facts, system, histories);
  const lines = timeline === facts.timeline ? [] : (histories.get(timeline) ?? []);
  const parts = [...lines, { timeline, switchLsn: undefined }].map((line, n, all) => ({
    timeline: line.timeline,
    from: n === 0 ? 0n : (all[n - 1]?.switchLsn ?? 0n) / BigInt(size),
    to: line.switchLsn === undefined ? undefined : line.switchLsn / BigInt(size),
    ranges: rangesOf(system, line.timeline, numberOf),
  }));
  const first = parseLsn(facts.startLsn) / BigInt(size);
  let next = first;
  let lastTimeline = facts.timeline;
  for (let isMoving = true; isMoving;) {
    isMoving = false;
    for (const part of parts) {
      if (next < part.from || (part.to !== undefined && next > part.to)) continue;
      const range = part.ranges.find(({ from, to }) => from <= next && next <= to);
      if (range === undefined) continue;
      next = (part.to !== undefined && part.to < range.to ? part.to : range.to) + 1n;
      lastTimeline = part.timeline;
      isMoving = true;
    }
  }
  const isCut = parts.some(({ ranges, to }) =>
    ranges.some((range) => range.to > next && (to === undefined || next <= to)),
  );
  return {
    base,
    timeline,
    last: next - 1n,
    lastTimeline,
    isBroken: next <= (parseLsn(facts.stopLsn) - 1n) / BigInt(size),
    isCut,
  };
}

function rangesOf(
  { timelines, gaps }: Pick<WalSystem, 'timelines' | 'gaps'>,
  timeline: number,
  numberOf: (name: string) => bigint,
): Range[] {
  const all = timelines.find((each) => each.timeline === timeline);
  if (all === undefined || all.segments === 0) return [];
  const end = numberOf(all.last);
  const ranges: Range[] = [];
  let from = numberOf(all.first);
  const own = gaps
    .filter(({ first }) => timelineOf(first) === timeline)
    .map(({ first, last }) => ({ from: numberOf(first), to: numberOf(last) }));
  for (const gap of own.toSorted((a, b) => (a.from < b.from ? -1 : 1))) {
    // Where timelines meet, gaps lie before the first segment or behind the last one.
    if (gap.to < from || gap.from > end) continue;
    if (gap.from > from) ranges.push({ from, to: gap.from - 1n });
    from = gap.to + 1n;
  }
  return from > end ? ranges : [...ranges, { from, to: end }];
}

function newestDescendant(
  { timeline, stopLsn }: BaseFacts,
  { timelines }: Pick<WalSystem, 'timelines'>,
  histories: Histories,
): number {
  const stop = parseLsn(stopLsn);
  const descends = (each: number): boolean =>
    histories.get(each)?.some((line) => line.timeline === timeline && line.switchLsn >= stop) === true;
  return Math.max(timeline, ...timelines.map((each) => each.timeline).filter(descends));
}

/** Moments, RFC 3339 in UTC. */
export interface Window {
  readonly from: string;
  readonly to: string;
}

/** Those that touch become one; oldest first. */
export function mergeWindows(windows: readonly Window[]): Window[] {
  const merged: Window[] = [];
  for (const window of windows.toSorted((a, b) => Date.parse(a.from) - Date.parse(b.from))) {
    const before = merged.at(-1);
    if (before === undefined || Date.parse(window.from) > Date.parse(before.to)) merged.push(window);
    else if (Date.parse(window.to) > Date.parse(before.to)) {
      merged[merged.length - 1] = { from: before.from, to: window.to };
    }
  }
  return merged;
}
