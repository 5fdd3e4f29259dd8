/**
 * Which write-ahead log stays: what a kept base backup can replay, on its own timeline, on those that lead to it and
 * on those that come from it; what a rule in days keeps; and the histories of all of these. Pure: no clock, no
 * storage. Where it cannot be told how timelines hang together, log stays. See man lifeboat-repository(7), "Deletion".
 */
import type { WalObject } from './archive.ts';
import type { HistoryLine } from '../../source/postgres/wal/history.ts';
import { segmentNumber } from '../../source/postgres/wal/file-name.ts';

/** A base backup as far as its log matters. */
export interface WalBase {
  readonly backupId: string;
  readonly target: string;
  /** Decimal. */
  readonly systemId: string;
  readonly timeline: number;
  readonly segmentBytes: number;
  readonly startLsn: bigint;
  readonly stopLsn: bigint;
  /** The earliest moment to which it can be recovered, RFC 3339. */
  readonly stoppedAt: string;
  /** `left`: it goes to trash in this run; `trash`: it was there before; `hidden`: by somebody, it may come back. */
  readonly state: 'live' | 'left' | 'trash' | 'hidden';
}

/** `later`: only base backups that are in trash, or on their way there, need it. */
export type WalVerdict = 'stays' | 'later' | 'goes';

export interface WalRules {
  /** Of one cluster, with segments of one size. */
  readonly bases: readonly WalBase[];
  /** By timeline; undefined: there is one, but it cannot be read. */
  readonly histories: ReadonlyMap<number, readonly HistoryLine[] | undefined>;
  /**
   * Log that was stored since then stays, needed or not; milliseconds since 1970. Infinity: there is no such rule;
   * -Infinity: all of it stays.
   */
  readonly keepSinceMs: number;
  /** Only what was stored before this moment may go; milliseconds since 1970. */
  readonly beforeMs: number;
}

/** Numbers of segments, both inclusive. */
interface NeededRange {
  readonly from: bigint;
  readonly to: bigint | undefined;
}

/** Judges the log of one cluster: first all segments, then histories. */
export class WalJudge {
  readonly #rules: WalRules;
  readonly #ranges = new Map<
    number,
    { readonly live: readonly NeededRange[]; readonly gone: readonly NeededRange[] }
  >();
  readonly #staying: Set<number>;

  constructor(rules: WalRules) {
    this.#rules = rules;
    this.#staying = new Set(rules.bases.map(({ timeline }) => timeline));
  }

  /** Everything that lies there of one segment: itself, `.partial` ones, unfinished ones. */
  judgeSegment(group: readonly WalObject[]): WalVerdict[] {
    const isWhole = group.some(({ file }) => file.kind === 'segment');
    const newest = group.reduce(
      (highest, { file }) => (file.lsn !== undefined && file.lsn > highest ? file.lsn : highest),
      -1n,
    );
    return group.map((each) => {
      const { kind, lsn } = each.file;
      const isOwn = kind === 'segment' || (kind === 'part' && lsn === undefined);
      const isSuperseded = !isOwn && (isWhole || (lsn !== undefined && lsn < newest));
      return isSuperseded && each.modifiedMs < this.#rules.beforeMs && this.#rules.keepSinceMs !== -Infinity
        ? 'goes'
        : this.judgeOne(each);
    });
  }

  /** A segment, or the label of a base backup, by itself. */
  judgeOne({ file: { timeline, segment = '' }, modifiedMs }: WalObject): WalVerdict {
    const verdict = this.#judge(timeline, segment, modifiedMs);
    if (verdict !== 'goes') this.#staying.add(timeline);
    return verdict;
  }

  /** To be asked after all segments: a history stays while a timeline that stays comes from it, or it from one. */
  judgeHistory({ file: { timeline }, modifiedMs }: WalObject): WalVerdict {
    const { histories, beforeMs, keepSinceMs } = this.#rules;
    const lines = histories.get(timeline);
    const isOfUse =
      lines === undefined ||
      this.#staying.has(timeline) ||
      lines.some((line) => this.#staying.has(line.timeline)) ||
      [...this.#staying].some(
        (each) => each > timeline && (histories.get(each)?.some((line) => line.timeline === timeline) ?? true),
      );
    return isOfUse || modifiedMs >= Math.min(beforeMs, keepSinceMs) ? 'stays' : 'goes';
  }

  #judge(timeline: number, segment: string, modifiedMs: number): WalVerdict {
    const { bases, beforeMs, keepSinceMs } = this.#rules;
    if (modifiedMs >= Math.min(beforeMs, keepSinceMs)) return 'stays';
    const [any] = bases;
    if (any === undefined) return 'goes';
    const number = segmentNumber(segment, any.segmentBytes);
    const { live, gone } = this.#rangesOf(timeline);
    const isIn = ({ from, to }: NeededRange): boolean => number >= from && (to === undefined || number <= to);
    return live.some(isIn) ? 'stays' : gone.some(isIn) ? 'later' : 'goes';
  }

  #rangesOf(timeline: number): { readonly live: readonly NeededRange[]; readonly gone: readonly NeededRange[] } {
    const known = this.#ranges.get(timeline);
    if (known !== undefined) return known;
    const of = (isLive: boolean): NeededRange[] =>
      this.#rules.bases
        .filter(({ state }) => ['live', 'hidden'].includes(state) === isLive)
        .flatMap((base) => neededOf(base, timeline, this.#rules.histories) ?? []);
    const ranges = { live: of(true), gone: of(false) };
    this.#ranges.set(timeline, ranges);
    return ranges;
  }
}

/** What of a timeline this base backup can replay; undefined: nothing. */
function neededOf(base: WalBase, timeline: number, histories: WalRules['histories']): NeededRange | undefined {
  const size = BigInt(base.segmentBytes);
  const from = base.startLsn / size;
  const whole = { from, to: undefined };
  if (timeline === base.timeline) return whole;
  // The later one of the two tells how they hang together; without its history they may.
  const [elder, younger] = timeline < base.timeline ? [timeline, base.timeline] : [base.timeline, timeline];
  const lines = histories.get(younger);
  if (lines === undefined) return whole;
  const line = lines.find((each) => each.timeline === elder);
  if (line === undefined) return undefined;
  if (elder === base.timeline) return line.switchLsn >= base.startLsn ? whole : undefined;
  // Of an ancestor only the segment in which it ended, should the base backup begin there.
  const to = line.switchLsn / size;
  return from <= to ? { from, to } : undefined;
}

/**
 * The earliest moment that base backups of some states reach; undefined: none. Only those whose own log is whole are to
 * be given.
 */
export function earliestMoment(bases: readonly WalBase[], states: readonly WalBase['state'][]): string | undefined {
  const moments = bases.filter(({ state }) => states.includes(state)).map(({ stoppedAt }) => stoppedAt);
  return moments.toSorted((a, b) => Date.parse(a) - Date.parse(b))[0];
}
