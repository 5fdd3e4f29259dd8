/**
 * What happened around a moment, from the WAL itself: which transactions were committed just before it and
 * just after it, and rows that they wrote and nothing has touched since. So a recovery to that moment can
 * be held against something, and nothing has to be written into anybody's database for it.
 */
import type { Repository } from '../../repository/repository.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import {
  changesIn,
  pageOf,
  type WalChange,
  type WalEnd,
  type WalRow,
  type WalWritten,
} from '../../source/postgres/wal/dumped-records.ts';
import { timelineOf } from '../../source/postgres/wal/file-name.ts';
import { runWaldump, type PlainSegment } from '../../source/postgres/wal/waldump.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import type { WalRun } from '../pitr/wal-run.ts';
import { openSegment } from '../wal/segment.ts';

export interface WalTransaction {
  /** With its epoch: 64 bits. */
  readonly xid: bigint;
  /** Microseconds since 1970. */
  readonly atUs: bigint;
}

/** A moment with a transaction on either side of it. */
export interface WalMoment {
  readonly atUs: bigint;
  /** Committed after the base backup and at the moment at the latest, newest first; at least one. */
  readonly before: readonly WalTransaction[];
  /** Committed after it; at least one. */
  readonly after: readonly WalTransaction[];
  /** Of the commit or abort that is replayed last. */
  readonly lastUs: bigint;
  /** Written by those before, newest first, and not touched again up to the moment. */
  readonly rowsBefore: readonly WalRow[];
  readonly rowsAfter: readonly WalRow[];
}

export interface WalAround {
  readonly repository: Repository;
  readonly facts: BaseFacts;
  readonly run: WalRun;
  /** Folder with pg_waldump of the cluster's version. */
  readonly programs: string;
  readonly signal: AbortSignal;
}

/** So many transactions and rows are looked at on either side. */
const maxTransactions = 20;
const maxRows = 40;
/** Segments that are read for rows before the moment, and for commits after it. */
const maxBack = 8;
const maxAhead = 4;

/**
 * The transactions around a moment; or the time of the first commit after it, where there is none between it and the
 * base backup. Undefined without a commit after it.
 */
export async function lookAround(
  around: WalAround,
  atUs: bigint,
): Promise<WalMoment | { readonly nextUs: bigint } | undefined> {
  const { run, facts } = around;
  const stopLsn = parseLsn(facts.stopLsn);
  const place = await placeOfFirstLater(around, atUs, stopLsn);
  if (place === undefined) return undefined;
  const changes = (await changesOf(around, place)).filter(({ lsn }) => lsn >= stopLsn);
  for (
    let n = place + 1;
    n < run.names.length && n <= place + maxAhead && !changes.some((each) => isLaterCommit(each, atUs));
    n++
  ) {
    changes.push(...(await changesOf(around, n)));
  }
  const stopAt = (all: readonly WalChange[]): number =>
    all.findIndex((each) => each.kind === 'end' && each.atUs > atUs);
  for (
    let n = place - 1;
    n >= 0 && place - n <= maxBack && (run.first + BigInt(n + 1)) * BigInt(facts.walSegmentBytes) > stopLsn;
    n--
  ) {
    if (rowsOf(changes.slice(0, stopAt(changes))).length > 0) break;
    changes.unshift(...(await changesOf(around, n)).filter(({ lsn }) => lsn >= stopLsn));
  }
  const split = stopAt(changes);
  const [before, after] = [changes.slice(0, split), changes.slice(split)];
  const commits = (some: readonly WalChange[]): WalEnd[] =>
    some.filter((each) => each.kind === 'end' && each.committed) as WalEnd[];
  if (commits(after).length === 0) return undefined;
  const lastUs = before.findLast((each) => each.kind === 'end')?.atUs;
  if (commits(before).length === 0 || lastUs === undefined) return { nextUs: commits(after)[0]?.atUs ?? atUs };
  const shown = (some: readonly WalEnd[]): WalTransaction[] =>
    some.slice(0, maxTransactions).map((each) => ({ xid: withEpoch(each.xids[0] ?? 0n, facts), atUs: each.atUs }));
  const later = new Set(commits(after).flatMap(({ xids }) => xids));
  return {
    atUs,
    before: shown(commits(before).toReversed()),
    after: shown(commits(after)),
    lastUs,
    rowsBefore: rowsOf(before).slice(0, maxRows),
    rowsAfter: changes
      .filter((each) => each.kind === 'row' && later.has(each.row.xid))
      .slice(0, maxRows)
      .map((each) => (each as WalWritten).row),
  };
}

/** Rows of committed transactions that nothing has touched since, newest first. Shared catalogs are left out. */
function rowsOf(changes: readonly WalChange[]): WalRow[] {
  const committed = new Set(changes.flatMap((each) => (each.kind === 'end' && each.committed ? each.xids : [])));
  const touched = new Set<string>();
  const rows: WalRow[] = [];
  for (const each of changes.toReversed()) {
    if (each.kind === 'touched') for (const page of each.pages) touched.add(page);
    if (each.kind !== 'row') continue;
    const { row } = each;
    const page = pageOf(row);
    if (!touched.has(page) && committed.has(row.xid) && row.database !== 0) rows.push(row);
    if (each.isFresh) touched.add(page);
  }
  return rows;
}

function isLaterCommit(change: WalChange, atUs: bigint): boolean {
  return change.kind === 'end' && change.committed && change.atUs > atUs;
}

/**
 * The place in the run of the segment with the first end of a transaction that is later; times rise with the log but
 * for trifles.
 */
async function placeOfFirstLater(around: WalAround, atUs: bigint, stopLsn: bigint): Promise<number | undefined> {
  const { run, facts } = around;
  const known = new Map<number, readonly WalChange[]>();
  const endsIn = async (place: number): Promise<readonly WalChange[]> => {
    const ends =
      known.get(place) ??
      (await changesOf(around, place, 'Transaction')).filter(({ kind, lsn }) => kind === 'end' && lsn >= stopLsn);
    known.set(place, ends);
    return ends;
  };
  const hasLater = async (place: number): Promise<boolean> =>
    (await endsIn(place)).some((each) => each.kind === 'end' && each.atUs > atUs);
  let low = Number(stopLsn / BigInt(facts.walSegmentBytes) - run.first);
  let high = run.names.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    let place = middle;
    // Of an idle server many segments hold no transaction.
    while (place < high && (await endsIn(place)).length === 0) place++;
    if (place < high && !(await hasLater(place))) low = place + 1;
    else high = middle;
  }
  while (high < run.names.length && !(await hasLater(high))) high++;
  return high < run.names.length ? high : undefined;
}

/**
 * The rest of a record lies in so many bytes of the next segment, but for records that concern neither rows nor
 * commits.
 */
const reachBytes = 65536n;

/** What begins in one segment of the run. A record may end in the next one, so that is at hand. */
async function changesOf(
  { repository, facts, run, programs, signal }: WalAround,
  place: number,
  manager?: 'Transaction',
): Promise<WalChange[]> {
  signal.throwIfAborted();
  const [name = '', next] = run.names.slice(place, place + 2);
  const start = (run.first + BigInt(place)) * BigInt(facts.walSegmentBytes);
  const end = start + BigInt(facts.walSegmentBytes);
  const goesOn = next !== undefined && timelineOf(next) === timelineOf(name);
  const segmentOf = async (each: string): Promise<PlainSegment> => ({
    name: each,
    content: await openSegment(repository, facts.systemIdentifier, each),
  });
  const segments = [await segmentOf(name), ...(goesOn ? [await segmentOf(next)] : [])] as const;
  const between = [start, goesOn ? end + reachBytes : end] as const;
  const changes: WalChange[] = [];
  const onText = (text: string): void => {
    for (const each of changesIn(text)) if (each.lsn < end) changes.push(each);
  };
  await runWaldump(segments, { programs, manager, between, onText, signal });
  return changes;
}

/** No transaction of this WAL is older than the oldest that ran when the base backup ended. */
function withEpoch(xid: bigint, { oldestXid }: BaseFacts): bigint {
  const oldest = BigInt(oldestXid);
  return oldest + BigInt.asUintN(32, xid - oldest);
}
