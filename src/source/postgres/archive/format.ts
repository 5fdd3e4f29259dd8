/**
 * Parts of a pg_dump custom-format archive (formats 1.12 to 1.16, PostgreSQL 9.0 to 18), as they are read one after the
 * other: the header, then each entry of the table of contents (ReadHead and ReadToc of pg_dump's sources).
 */
import { LifeboatError } from '../../../lib/errors.ts';

/** What one object of the archive is. */
export interface TocEntry {
  readonly dumpId: number;
  /** E.g. "TABLE DATA", "SEQUENCE SET", "TABLE". */
  readonly type: string;
  /** Name of the object; of a constraint or trigger "table name". */
  readonly name: string;
  readonly schema: string | undefined;
  readonly section: 'none' | 'pre-data' | 'data' | 'post-data';
  /** The dumpIds of what it depends on. */
  readonly needs: readonly number[];
}

/** Reads one thing where the cursor is; what comes next is said by the header alone. */
export type Parser = (
  cursor: Cursor,
) => { readonly entry: TocEntry } | { readonly next: Parser; readonly count: number };

const sections = ['none', 'pre-data', 'data', 'post-data'] as const;

/** Up to and with the number of entries. */
export function parseHeader(cursor: Cursor): ReturnType<Parser> {
  if (cursor.take(5).toString('latin1') !== 'PGDMP') throw damaged('it does not begin like a custom-format archive');
  const version = cursor.byte() * 100 + cursor.byte();
  cursor.byte();
  if (version < 112 || version > 116) {
    throw new LifeboatError(
      'tool',
      `cannot read a pg_dump archive of format ${(version - (version % 100)) / 100}.${version % 100}`,
      { hint: 'use a version of lifeboat that knows it' },
    );
  }
  cursor.intSize = cursor.byte();
  if (cursor.intSize < 1 || cursor.intSize > 8) throw damaged(`its integers have ${cursor.intSize} bytes`);
  const offsetSize = cursor.byte();
  if (cursor.byte() !== 1) throw damaged('it is not in the custom format');
  if (version >= 115) cursor.byte();
  else cursor.int();
  for (let field = 0; field < 7; field++) cursor.int();
  for (let text = 0; text < 3; text++) cursor.skipText();
  const count = cursor.int();
  if (count < 0 || count > maxEntries) throw damaged(`it claims ${count} entries`);
  const { intSize } = cursor;
  return { next: (entry) => ({ entry: parseEntry(entry, intSize, version, offsetSize) }), count };
}

function parseEntry(cursor: Cursor, intSize: number, version: number, offsetSize: number): TocEntry {
  cursor.intSize = intSize;
  const dumpId = cursor.int();
  cursor.int(); // whether it has data
  cursor.skipText(); // OID of its catalog
  cursor.skipText(); // its own OID
  const name = cursor.text() ?? '';
  const type = cursor.text() ?? '';
  const section = sections[cursor.int() - 1];
  if (section === undefined) throw damaged('an entry is in no known section');
  for (let text = 0; text < 3; text++) cursor.skipText(); // definition, drop and copy statements
  const schema = cursor.text();
  cursor.skipText(); // tablespace
  if (version >= 114) cursor.skipText(); // access method
  if (version >= 116) cursor.int(); // relkind
  cursor.skipText(); // owner
  cursor.skipText(); // "false"
  const needs: number[] = [];
  for (let next = cursor.text(); next !== undefined; next = cursor.text()) {
    if (needs.push(Number(next)) > maxNeeds) throw damaged('an entry of its table of contents needs too many others');
  }
  cursor.take(1 + offsetSize); // where its data begins
  return { dumpId, type, name, schema: schema === '' ? undefined : schema, section, needs };
}

/** So many bytes are missing for what is read now: until they have come, nothing is tried again. */
export class NeedMore extends Error {
  readonly bytes: number;

  constructor(bytes: number) {
    super('more bytes are needed');
    this.bytes = bytes;
  }
}

/** Throws NeedMore at the end of what there is, `integrity` for lengths that make no sense. */
export class Cursor {
  readonly #buffer: Buffer;
  at = 0;
  intSize = 4;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  take(length: number): Buffer {
    const missing = this.at + length - this.#buffer.length;
    if (missing > 0) throw new NeedMore(missing);
    this.at += length;
    return this.#buffer.subarray(this.at - length, this.at);
  }

  byte(): number {
    return this.take(1)[0] ?? 0;
  }

  /** A sign byte, then the value, little-endian. */
  int(): number {
    const negative = this.byte() !== 0;
    const value = this.take(this.intSize).readUIntLE(0, Math.min(this.intSize, 6));
    return negative ? -value : value;
  }

  /** Length -1 stands for no text. */
  text(): string | undefined {
    const length = this.int();
    if (length > maxTextBytes) throw damaged('a text in its table of contents is too long');
    return length < 0 ? undefined : this.take(length).toString('utf8');
  }

  skipText(): void {
    const length = this.int();
    if (length > maxTextBytes) throw damaged('a text in its table of contents is too long');
    if (length > 0) this.take(length);
  }
}

/** A text is a definition or a name, held as a whole; PostgreSQL itself would take 1 GiB. */
const maxTextBytes = 64 * 1024 * 1024;
/** What one entry depends on. */
const maxNeeds = 1_000_000;
/** An object of the database each; they are held too. */
const maxEntries = 5_000_000;

/** `integrity` (14): what there is makes no archive. */
export function damaged(why: string): LifeboatError {
  return new LifeboatError('integrity', `cannot read the archive: ${why}`);
}
