/**
 * From which moments to which the archived log of a cluster can be replayed: each base backup opens a window that
 * reaches as far as the log behind it has no gap, over promotions too. Pure.
 */
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import type { KnownBase } from '../wal/bases.ts';
import { reachOfLog, type HeldLog } from '../wal/gaps.ts';

/** What one base backup can replay. */
export interface BaseReach {
  readonly base: KnownBase;
  /** Along which timeline. */
  readonly timeline: number;
  /** Of the last segment that can be replayed, and on which timeline it lies. */
  readonly last: bigint;
  readonly lastTimeline: number;
  /** Name of the segment behind it. */
  readonly next: string;
  /** Its own log is not all there: it is of no use. */
  readonly isBroken: boolean;
  /** There is more log behind the last segment, but something between is missing. */
  readonly isCut: boolean;
}

/** By what the archive holds of its cluster; undefined: nothing. */
export function reachOf(base: KnownBase, log: HeldLog | undefined): BaseReach {
  const { facts } = base;
  const size = BigInt(facts.walSegmentBytes);
  const held = log ?? { segmentBytes: facts.walSegmentBytes, timelines: new Map(), histories: new Map() };
  const timeline = newestDescendant(facts, held);
  const { last, lastTimeline, next, isCut } = reachOfLog(
    held,
    facts.timeline,
    parseLsn(facts.startLsn) / size,
    timeline,
  );
  const isBroken = last < (parseLsn(facts.stopLsn) - 1n) / size;
  return { base, timeline, last, lastTimeline, next, isBroken, isCut };
}

function newestDescendant({ timeline, stopLsn }: BaseFacts, { timelines, histories }: HeldLog): number {
  const stop = parseLsn(stopLsn);
  const descends = (each: number): boolean =>
    histories.get(each)?.some((line) => line.timeline === timeline && line.switchLsn >= stop) === true;
  return Math.max(timeline, ...[...timelines.keys()].filter(descends));
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
