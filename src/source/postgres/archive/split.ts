/**
 * One archive of several tables' data as an archive for each of them: pg_dump writes header and table of contents, then
 * the tables' data in that order, each in a run of frames (_StartData to _EndData of its sources), so a table's archive
 * is the header, the entries without data, its own entry and its run, all as pg_dump wrote them. So one pg_dump, which
 * holds its locks from the start, serves many tables.
 */
import { Cursor, NeedMore, type TocEntry, damaged, parseHeader } from './format.ts';

/** One table's archive. */
export interface TableArchive {
  readonly schema: string;
  readonly name: string;
  /** What comes before its data. */
  readonly head: Buffer;
  /** The first bytes of its data. */
  readonly begin: Buffer;
}

export interface SplitArchive {
  /** In the order in which their data comes. */
  readonly tables: readonly TableArchive[];
  /** Where the first one's data begins. */
  readonly dataAt: number;
}

/**
 * What an archive holds whose first bytes these are; undefined: its table of contents goes on. Throws `integrity` (14)
 * for other data than that of tables.
 */
export function splitArchive(start: Buffer): SplitArchive | undefined {
  try {
    return split(start);
  } catch (error) {
    if (error instanceof NeedMore) return undefined;
    throw error;
  }
}

function split(start: Buffer): SplitArchive {
  const cursor = new Cursor(start);
  const header = parseHeader(cursor);
  if ('entry' in header) throw damaged('it has no header');
  const { intSize } = cursor;
  const integer = (value: number): Buffer => encodeInt(value, intSize);
  const beforeCount = start.subarray(0, cursor.at - integer(0).length);
  const shared: Buffer[] = [];
  const tables: { readonly entry: TocEntry; readonly bytes: Buffer }[] = [];
  for (let n = 0; n < header.count; n++) {
    const from = cursor.at;
    const read = header.next(cursor);
    if (!('entry' in read)) throw damaged('it has two headers');
    const bytes = start.subarray(from, cursor.at);
    if (isTableData(read.entry)) tables.push({ entry: read.entry, bytes });
    else shared.push(bytes);
  }
  const common = Buffer.concat([beforeCount, integer(shared.length + 1), ...shared]);
  return {
    tables: tables.map(({ entry, bytes }) => ({
      schema: entry.schema ?? '',
      name: entry.name,
      head: Buffer.concat([common, bytes]),
      begin: Buffer.concat([tableData, integer(entry.dumpId)]),
    })),
    dataAt: cursor.at,
  };
}

/** BLK_DATA. */
const tableData = Buffer.from([1]);

function isTableData({ section, type }: TocEntry): boolean {
  if (section !== 'data') return false;
  if (type !== 'TABLE DATA') throw damaged(`it holds ${type}, not only the data of tables`);
  return true;
}

function encodeInt(value: number, intSize: number): Buffer {
  const bytes = Buffer.alloc(1 + intSize);
  bytes.writeUIntLE(value, 1, Math.min(intSize, 6));
  return bytes;
}
