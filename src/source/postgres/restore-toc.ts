/**
 * The table of contents of a custom-format archive, read from its own bytes: `pg_restore --list` tells
 * neither dependencies nor where a name ends that holds blanks. The layout is that of archive versions
 * 1.12 (PostgreSQL 9.0) to 1.16 (PostgreSQL 17 and 18): a header, then for each entry lengths and strings.
 */
import { LifeboatError } from '../../lib/errors.ts';

export interface TocEntry {
  /** What --use-list and the tool's messages call it. */
  readonly id: number;
  /** E.g. "TABLE", "TABLE DATA", "FK CONSTRAINT". */
  readonly kind: string;
  /** Name of the object; for what hangs on a table "table name", for COMMENT and ACL "KIND name". */
  readonly tag: string;
  /** Schema; undefined for what lives in none. */
  readonly schema: string | undefined;
  readonly owner: string;
  /** Ids of the entries that it needs. */
  readonly needs: readonly number[];
}

/** Reads the table of contents from the front of an archive's bytes; no more is asked for than needed. Throws `integrity` or `tool`. */
export async function readToc(chunks: AsyncIterable<Uint8Array>, name: string): Promise<TocEntry[]> {
  let head = Buffer.alloc(0);
  for await (const chunk of chunks) {
    head = Buffer.concat([head, chunk]);
    const entries = parseToc(head, name);
    if (entries !== undefined) return entries;
  }
  throw damaged(name, 'it ends within its table of contents');
}

/** The entries, in the archive's order; undefined if the bytes end before the table of contents does. */
export function parseToc(bytes: Buffer, name: string): TocEntry[] | undefined {
  try {
    return readEntries(new TocReader(bytes), name);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const oldest = 0x010c;
const newest = 0x0110;

function readEntries(reader: TocReader, name: string): TocEntry[] {
  if (reader.bytes(5).toString('latin1') !== 'PGDMP') throw damaged(name, 'it does not begin like one');
  const version = reader.byte() * 256 + reader.byte();
  reader.byte();
  if (version < oldest || version > newest) {
    throw new LifeboatError('tool', `archive ${name} is of version ${version >> 8}.${version & 255}, which is not known`, { hint: 'restore all of the database, without a selection of tables, or by pg_restore itself (lifeboat export)' });
  }
  reader.setSizes(reader.byte(), reader.byte());
  if (reader.byte() !== 1) throw damaged(name, 'it is not in custom format');
  if (version >= 0x010f) reader.byte();
  else reader.int();
  // Time of the dump, in seven numbers; name of the database; versions of the server and of pg_dump.
  for (let i = 0; i < 7; i++) reader.int();
  for (let i = 0; i < 3; i++) reader.string();
  return Array.from({ length: reader.count(name) }, () => readEntry(reader, version));
}

function readEntry(reader: TocReader, version: number): TocEntry {
  const id = reader.int();
  reader.int();
  reader.string();
  reader.string();
  const tag = reader.string() ?? '';
  const kind = reader.string() ?? '';
  reader.int();
  // Definition, drop statement, copy statement.
  for (let i = 0; i < 3; i++) reader.string();
  const schema = reader.string();
  reader.string();
  if (version >= 0x010e) reader.string();
  if (version >= 0x0110) reader.int();
  const owner = reader.string() ?? '';
  reader.string();
  const needs: number[] = [];
  for (let next = reader.string(); next !== undefined; next = reader.string()) needs.push(Number(next));
  reader.offset();
  return { id, kind, tag, schema: schema === '' ? undefined : schema, owner, needs };
}

/** Reading beyond the end throws a RangeError. */
class TocReader {
  readonly #bytes: Buffer;
  #at = 0;
  #intSize = 4;
  #offsetSize = 8;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  setSizes(intSize: number, offsetSize: number): void {
    this.#intSize = intSize;
    this.#offsetSize = offsetSize;
  }

  bytes(length: number): Buffer {
    if (length < 0 || this.#at + length > this.#bytes.length) throw new RangeError('end of bytes');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  byte(): number {
    return this.bytes(1)[0] ?? 0;
  }

  /** A sign byte, then little-endian bytes. */
  int(): number {
    const sign = this.byte();
    const value = this.bytes(this.#intSize).readUIntLE(0, Math.min(6, this.#intSize));
    return sign === 0 ? value : -value;
  }

  count(name: string): number {
    const count = this.int();
    // Each entry takes over 50 bytes; a damaged number must not make us wait for more than there can be.
    if (count < 0 || count > 50_000_000) throw damaged(name, `it claims ${count} entries`);
    return count;
  }

  string(): string | undefined {
    const length = this.int();
    return length < 0 ? undefined : this.bytes(length).toString('utf8');
  }

  offset(): void {
    this.bytes(1 + this.#offsetSize);
  }
}

function damaged(name: string, why: string): LifeboatError {
  return new LifeboatError('integrity', `archive ${name} is damaged: ${why}`, { hint: 'run: lifeboat validate --deep' });
}
