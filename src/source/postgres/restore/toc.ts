/**
 * The table of contents at the beginning of a pg_dump custom-format archive (formats 1.12 to 1.16,
 * PostgreSQL 9.0 to 18), read without a tool and without the data that follows. With it a backup that is
 * made of several archives proves that they hold each table's rows exactly once.
 */
import { Cursor, NeedMore, type Parser, type TocEntry, damaged, parseHeader } from '../archive/format.ts';
import type { DatabaseFacts } from '../facts/facts.ts';

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
