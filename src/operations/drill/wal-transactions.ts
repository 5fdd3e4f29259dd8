/**
 * What happened around a moment, from the WAL itself: which transactions were committed just before it and
 * just after it, and rows that they wrote and nothing has touched since. So a recovery to that moment can
 * be held against something, and nothing has to be written into anybody's database for it.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../../lib/exec.ts';
import { withScratchFolder } from '../../lib/fs.ts';
import type { Repository } from '../../repository/repository.ts';
import { readWal } from '../../repository/wal/archive.ts';
import { formatLsn, parseLsn } from '../../repository/wal/names.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { parseTime } from '../pitr/moment.ts';
import type { WalRun } from '../pitr/wal-inventory.ts';

export interface WalTransaction {
  /** With its epoch: 64 bits. */
  readonly xid: bigint;
  /** Microseconds since 1970. */
  readonly atUs: bigint;
}

/** Where a row lies; numbers as PostgreSQL has them. */
export interface WalRow {
  /** 32 bits, as in its xmin. */
  readonly xid: bigint;
  readonly tablespace: number;
  readonly database: number;
  readonly filenode: number;
  readonly block: number;
  readonly offset: number;
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

interface WalEnd {
  readonly kind: 'end';
  readonly lsn: bigint;
  readonly committed: boolean;
  readonly atUs: bigint;
  /** The transaction, then its parts. */
  readonly xids: readonly bigint[];
}

interface WalWritten {
  readonly kind: 'row';
  readonly lsn: bigint;
  /** What lay on that page is no more. */
  readonly isFresh: boolean;
  readonly row: WalRow;
}

/** Something else happened to pages of tables. */
interface WalTouched {
  readonly kind: 'touched';
  readonly lsn: bigint;
  readonly pages: readonly string[];
}

export type WalChange = WalEnd | WalWritten | WalTouched;

/** Reads what pg_waldump (13 to 18) prints; what concerns neither rows nor the ends of transactions is left out. */
export function parseChanges(text: string): WalChange[] {
  const changes: WalChange[] = [];
  for (const [, manager, xid, position, desc = ''] of text.matchAll(
    /^rmgr: (\w+) .*? tx: +(\d+), lsn: ([0-9A-F]+\/[0-9A-F]+), .*? desc: (.*)$/gm,
  )) {
    const lsn = parseLsn(position ?? '');
    const change =
      manager === 'Transaction'
        ? endOf(desc, BigInt(xid ?? 0), lsn)
        : manager === 'Heap' || manager === 'Heap2'
          ? written(desc, BigInt(xid ?? 0), lsn)
          : [];
    changes.push(...change);
  }
  return changes;
}

function endOf(desc: string, xid: bigint, lsn: bigint): WalChange[] {
  const [, act, prepared, time] =
    /^(COMMIT|ABORT)(?:_PREPARED)? (?:(\d+): )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC/.exec(desc) ?? [];
  if (time === undefined) return [];
  const parts = /; subxacts: ([\d ]+)/.exec(desc)?.[1]?.trim().split(' ') ?? [];
  return [
    {
      kind: 'end',
      lsn,
      committed: act === 'COMMIT',
      atUs: parseTime(`${time} UTC`),
      xids: [prepared === undefined ? xid : BigInt(prepared), ...parts.map(BigInt)],
    },
  ];
}

function written(desc: string, xid: bigint, lsn: bigint): WalChange[] {
  const pages = [...desc.matchAll(/blkref #\d+: rel (\d+)\/(\d+)\/(\d+) blk (\d+)/g)].map(([, ...numbers]) =>
    numbers.map(Number),
  );
  const act = /^[A-Z_]+(?:\+INIT)?/.exec(desc)?.[0] ?? '';
  const isFresh = act.endsWith('+INIT');
  if (/^(INSERT|UPDATE|HOT_UPDATE|MULTI_INSERT)/.test(act)) {
    const [page, ...others] = pages;
    // Of several rows at once the places are told only where they begin a page.
    const offset =
      act === 'MULTI_INSERT+INIT'
        ? 1
        : Number((act.startsWith('INSERT') ? /^\S+ off:? (\d+)/ : /new(?: |_)off:? (\d+)/).exec(desc)?.[1]);
    const [tablespace = 0, database = 0, filenode = 0, block = 0] = page ?? [];
    // The old version of an updated row is of no use any more, nor is what may have moved with it.
    const old: WalChange[] = /UPDATE/.test(act)
      ? [
          {
            kind: 'touched',
            lsn,
            pages: [...(others.length === 0 && page !== undefined ? [page] : []), ...others].map(pageName),
          },
        ]
      : [];
    if (page === undefined || !Number.isInteger(offset)) return old;
    return [...old, { kind: 'row', lsn, isFresh, row: { xid, tablespace, database, filenode, block, offset } }];
  }
  if (/^(MULTI_INSERT|VISIBLE)/.test(act) || pages.length === 0) return [];
  return [{ kind: 'touched', lsn, pages: pages.map(pageName) }];
}

function pageName(numbers: readonly number[]): string {
  return numbers.join('/');
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
    const page = pageName([row.tablespace, row.database, row.filenode, row.block]);
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
  const goesOn = next !== undefined && next.slice(0, 8) === name.slice(0, 8);
  const text = await withScratchFolder(async (folder) => {
    for (const each of goesOn ? [name, next] : [name]) {
      await writeFile(join(folder, each), await readWal(repository, facts.systemIdentifier, each), { mode: 0o600 });
    }
    const limits = [
      `--timeline=${Number.parseInt(name.slice(0, 8), 16)}`,
      `--start=${formatLsn(start)}`,
      `--end=${formatLsn(goesOn ? end + reachBytes : end)}`,
    ];
    // It exits with 1 at the end of the WAL that it is given.
    return (
      await runTool({
        file: join(programs, 'pg_waldump'),
        args: [`--path=${folder}`, ...limits, ...(manager === undefined ? [] : [`--rmgr=${manager}`])],
        env: { TZ: 'UTC' },
        okExitCodes: [0, 1],
        signal,
      })
    ).stdout;
  });
  return parseChanges(text).filter(({ lsn }) => lsn < end);
}

/** No transaction of this WAL is older than the oldest that ran when the base backup ended. */
function withEpoch(xid: bigint, { oldestXid }: BaseFacts): bigint {
  const oldest = BigInt(oldestXid);
  return oldest + BigInt.asUintN(32, xid - oldest);
}
