/**
 * The table of contents at the beginning of a pg_dump custom-format archive (formats 1.12 to 1.16,
 * PostgreSQL 9.0 to 18), read without a tool and without the data that follows. With it a backup that is
 * made of several archives proves that they hold each table's rows exactly once.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { DatabaseFacts } from '../facts/facts.ts';

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

/**
 * Reads an archive as far as its table of contents goes. Throws `integrity` (14) for anything that is not a whole one.
 */
export async function readToc(archive: AsyncIterable<Uint8Array>): Promise<TocEntry[]> {
  const reading: Reading = { entries: [], parse: parseHeader, left: 1, buffer: Buffer.alloc(0) };
  let pieces: Uint8Array[] = [];
  let missing = 1;
  for await (const piece of archive) {
    // A copy: the producer may use its buffer again.
    pieces.push(Buffer.from(piece));
    missing -= piece.length;
    if (missing > 0) continue;
    missing = readOn(reading, pieces);
    if (missing === 0) return reading.entries;
    pieces = [];
  }
  if (pieces.length > 0 && readOn(reading, pieces) === 0) return reading.entries;
  throw damaged('it ends within its table of contents');
}

/** How far it has come: so many are left to be read, the first by `parse`, and these bytes are not used up. */
interface Reading {
  readonly entries: TocEntry[];
  parse: Parser;
  left: number;
  buffer: Buffer;
}

/**
 * Reads what there is. Returns how many bytes are to come before it is worth while again, 0 at the end: at least as
 * many as are there, since what is cut off is read again from its beginning.
 */
function readOn(reading: Reading, pieces: readonly Uint8Array[]): number {
  reading.buffer = Buffer.concat([reading.buffer, ...pieces]);
  while (reading.left > 0) {
    const cursor = new Cursor(reading.buffer);
    try {
      const found = reading.parse(cursor);
      if ('entry' in found) reading.entries.push(found.entry);
      else [reading.parse, reading.left] = [found.next, found.count + 1];
    } catch (error) {
      if (!(error instanceof NeedMore)) throw error;
      return Math.max(error.bytes, reading.buffer.length);
    }
    reading.buffer = reading.buffer.subarray(cursor.at);
    reading.left--;
  }
  return 0;
}

/**
 * What is wrong with the parts of one database's dump, by artifact name; empty when each table's and sequence's data
 * stands in exactly one part, the right one.
 */
export function checkParts(facts: DatabaseFacts, tocs: ReadonlyMap<string, readonly TocEntry[]>): string[] {
  const { artifacts } = facts;
  const seen = placesOfData(tocs);
  const faults: string[] = [];
  for (const [object, wanted] of wantedPlaces(facts)) {
    const places = seen.get(object) ?? [];
    seen.delete(object);
    if (places.join() !== wanted.join()) {
      faults.push(`${object} stands in ${places.join(' and ') || 'no part'} instead of ${wanted.join(' and ')}`);
    }
  }
  // What is left belongs to extensions (configuration tables), or is large objects.
  const isBlob = ([object]: readonly [string, unknown]): boolean => object.startsWith('BLOB');
  for (const [object, places] of seen) {
    if (places.length > 1 && !isBlob([object, places])) faults.push(`${object} stands in ${places.join(' and ')}`);
  }
  if (facts.largeObjects.count !== '0' && ![...seen].some((each) => isBlob(each) && each[1].includes(artifacts.data))) {
    faults.push(`large objects are missing from ${artifacts.data}`);
  }
  for (const name of [artifacts.schema, artifacts.data, ...artifacts.tables.map(({ artifact }) => artifact)]) {
    if (!tocs.has(name)) faults.push(`${name} is missing`);
  }
  return faults;
}

/** The part that each object's data belongs into: one, but for different names that are not UTF-8 and look alike. */
function wantedPlaces({ artifacts, tables, sequences }: DatabaseFacts): Map<string, string[]> {
  const apart = new Map(artifacts.tables.map((table) => [key('TABLE DATA', table), table.artifact]));
  const objects = [
    ...tables.filter(({ kind }) => kind === 'r').map((table) => key('TABLE DATA', table)),
    ...sequences.map((sequence) => key('SEQUENCE SET', sequence)),
  ];
  return Map.groupBy(objects, (object) => object)
    .entries()
    .reduce(
      (wanted, [object, same]) =>
        wanted.set(
          object,
          same.map(() => apart.get(object) ?? artifacts.data),
        ),
      new Map<string, string[]>(),
    );
}

/** Type, schema and name of each entry of the data section → the artifacts that hold it. */
function placesOfData(tocs: ReadonlyMap<string, readonly TocEntry[]>): Map<string, string[]> {
  const places = new Map<string, string[]>();
  for (const [artifact, entries] of tocs) {
    for (const entry of entries) {
      if (entry.section !== 'data') continue;
      const object = key(entry.type, { schema: entry.schema ?? '', name: entry.name });
      places.set(object, [...(places.get(object) ?? []), artifact]);
    }
  }
  return places;
}

function key(type: string, { schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${type} of ${JSON.stringify(schema)}.${JSON.stringify(name)}`;
}

type Parser = (cursor: Cursor) => { readonly entry: TocEntry } | { readonly next: Parser; readonly count: number };

const sections = ['none', 'pre-data', 'data', 'post-data'] as const;

/** Up to and with the number of entries. */
function parseHeader(cursor: Cursor): ReturnType<Parser> {
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
class NeedMore extends Error {
  readonly bytes: number;

  constructor(bytes: number) {
    super('more bytes are needed');
    this.bytes = bytes;
  }
}

class Cursor {
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

function damaged(why: string): LifeboatError {
  return new LifeboatError('integrity', `cannot read the archive: ${why}`);
}
