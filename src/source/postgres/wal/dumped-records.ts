/**
 * What pg_waldump (13 to 19) prints, read: the ends of transactions, restore points, and what was written to pages of
 * tables. A row that nothing has touched since it was written can be looked for in a cluster that was recovered.
 */
import { parseLsn } from './lsn.ts';

/** The commit or abort of a transaction. */
export interface WalEnd {
  readonly kind: 'end';
  readonly lsn: bigint;
  readonly committed: boolean;
  /** Microseconds since 1970. */
  readonly atUs: bigint;
  /** The transaction, then its parts; 32 bits. */
  readonly xids: readonly bigint[];
}

/** A restore point that was made by name. */
export interface WalPoint {
  readonly kind: 'point';
  readonly lsn: bigint;
  readonly name: string;
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

export interface WalWritten {
  readonly kind: 'row';
  readonly lsn: bigint;
  /** What lay on that page is no more. */
  readonly isFresh: boolean;
  readonly row: WalRow;
}

/** Something else happened to pages of tables. */
export interface WalTouched {
  readonly kind: 'touched';
  readonly lsn: bigint;
  readonly pages: readonly string[];
}

/** What concerns rows and the ends of transactions. */
export type WalChange = WalEnd | WalWritten | WalTouched;

const recordPattern = /^rmgr: (\w+) .*? tx: +(\d+), lsn: ([0-9A-F]+\/[0-9A-F]+), .*? desc: (.*)$/gm;
const endPattern = /^(COMMIT|ABORT)(?:_PREPARED)? (?:(\d+): )?(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))? UTC/;

/** In the order of the log; what concerns neither rows nor the ends of transactions is left out. */
export function changesIn(text: string): WalChange[] {
  return [...text.matchAll(recordPattern)].flatMap<WalChange>(([, manager, xid = '0', position = '0/0', desc = '']) => {
    if (manager === 'Transaction') return endOf(desc, BigInt(xid), parseLsn(position));
    return manager === 'Heap' || manager === 'Heap2' ? written(desc, BigInt(xid), parseLsn(position)) : [];
  });
}

/** The ends of transactions, and restore points. */
export function marksIn(text: string): (WalEnd | WalPoint)[] {
  return [...text.matchAll(recordPattern)].flatMap<WalEnd | WalPoint>(
    ([, manager, xid = '0', position = '0/0', desc = '']) => {
      if (manager === 'Transaction') return endOf(desc, BigInt(xid), parseLsn(position));
      const name = manager === 'XLOG' ? /^RESTORE_POINT (.*)$/.exec(desc)?.[1] : undefined;
      return name === undefined ? [] : [{ kind: 'point', lsn: parseLsn(position), name }];
    },
  );
}

/** Where the last record begins. */
export function lastRecordIn(text: string): bigint | undefined {
  const last = [...text.matchAll(/ lsn: ([0-9A-F]+\/[0-9A-F]+),/g)].at(-1)?.[1];
  return last === undefined ? undefined : parseLsn(last);
}

/** A page of a table, as `WalTouched` names it. */
export function pageOf({ tablespace, database, filenode, block }: WalRow): string {
  return pageName([tablespace, database, filenode, block]);
}

function endOf(desc: string, xid: bigint, lsn: bigint): WalEnd[] {
  const [, act, prepared, date, time, fraction = ''] = endPattern.exec(desc) ?? [];
  if (date === undefined || time === undefined) return [];
  const parts = /; subxacts: ([\d ]+)/.exec(desc)?.[1]?.trim().split(' ') ?? [];
  return [
    {
      kind: 'end',
      lsn,
      committed: act === 'COMMIT',
      atUs: BigInt(Date.parse(`${date}T${time}Z`)) * 1000n + BigInt(fraction.padEnd(6, '0')),
      xids: [prepared === undefined ? xid : BigInt(prepared), ...parts.map(BigInt)],
    },
  ];
}

function written(desc: string, xid: bigint, lsn: bigint): (WalWritten | WalTouched)[] {
  const blocks = [...desc.matchAll(/blkref #\d+: rel (\d+)\/(\d+)\/(\d+) blk (\d+)/g)];
  const pages = blocks.map(([, ...numbers]) => numbers.map(Number));
  const act = /^[A-Z_]+(?:\+INIT)?/.exec(desc)?.[0] ?? '';
  if (!/^(INSERT|UPDATE|HOT_UPDATE|MULTI_INSERT)/.test(act)) {
    if (act.startsWith('VISIBLE') || pages.length === 0) return [];
    return [{ kind: 'touched', lsn, pages: pages.map(pageName) }];
  }
  const [page, ...others] = pages;
  // The old version of an updated row is of no use any more, nor is what may have moved with it.
  const old = others.length === 0 && page !== undefined ? [page] : others;
  const touched: WalTouched[] = /UPDATE/.test(act) ? [{ kind: 'touched', lsn, pages: old.map(pageName) }] : [];
  const offset = offsetOf(act, desc);
  if (page === undefined || !Number.isInteger(offset)) return touched;
  const [tablespace = 0, database = 0, filenode = 0, block = 0] = page;
  const row = { xid, tablespace, database, filenode, block, offset };
  return [...touched, { kind: 'row', lsn, isFresh: act.endsWith('+INIT'), row }];
}

/** Of several rows at once the places are told only where they begin a page. NaN: not told. */
function offsetOf(act: string, desc: string): number {
  if (act === 'MULTI_INSERT+INIT') return 1;
  const pattern = act.startsWith('INSERT') ? /^\S+ off:? (\d+)/ : /new(?: |_)off:? (\d+)/;
  return Number(pattern.exec(desc)?.[1]);
}

function pageName(numbers: readonly number[]): string {
  return numbers.join('/');
}
