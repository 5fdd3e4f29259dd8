import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeboatError } from '../../../../../src/lib/errors.ts';
import type { DatabaseFacts } from '../../../../../src/source/postgres/facts/facts.ts';
import type { TocEntry } from '../../../../../src/source/postgres/archive/format.ts';
import { checkParts, readToc } from '../../../../../src/source/postgres/restore/toc.ts';

/** An archive's beginning as pg_dump writes it, by the fields of each format version. */
function archive(
  minor: number,
  entries: readonly (readonly [type: string, schema: string | undefined, name: string, section: number])[],
): Buffer {
  const int = (value: number): Buffer => {
    const bytes = Buffer.alloc(5);
    bytes[0] = value < 0 ? 1 : 0;
    bytes.writeUInt32LE(Math.abs(value), 1);
    return bytes;
  };
  const text = (value: string | undefined): Buffer =>
    value === undefined ? int(-1) : Buffer.concat([int(Buffer.byteLength(value)), Buffer.from(value)]);
  const head = [Buffer.from('PGDMP'), Buffer.from([1, minor, 0, 4, 8, 1]), minor >= 15 ? Buffer.from([0]) : int(0)];
  const times = [0, 0, 0, 1, 0, 100, 0].map(int);
  const body = entries.flatMap(([type, schema, name, section], i) => [
    int(i + 1),
    int(1),
    text('1259'),
    text('16384'),
    text(name),
    text(type),
    int(section),
    text('CREATE …'),
    text('DROP …'),
    text('COPY …'),
    text(schema),
    text(''),
    ...(minor >= 14 ? [text('heap')] : []),
    ...(minor >= 16 ? [int(114)] : []),
    text('owner'),
    text('false'),
    text('7'),
    text('8'),
    text(undefined),
    Buffer.from([2]),
    Buffer.alloc(8),
  ]);
  return Buffer.concat([
    ...head,
    ...times,
    text('db'),
    text('15.1'),
    text('15.1'),
    int(entries.length),
    ...body,
    Buffer.from('data follows'),
  ]);
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('reads every format, in pieces of any size, and stops where the data begins', async () => {
  for (const minor of [12, 13, 14, 15, 16]) {
    const bytes = archive(minor, [
      ['TABLE DATA', 'app', 'We ird"\n.', 3],
      ['ENCODING', undefined, 'ENCODING', 2],
    ]);
    for (const size of [1, 7, 4096]) {
      assert.deepEqual(await readToc(inPieces(bytes, size)), [
        { dumpId: 1, type: 'TABLE DATA', name: 'We ird"\n.', schema: 'app', section: 'data', needs: [7, 8] },
        { dumpId: 2, type: 'ENCODING', name: 'ENCODING', schema: undefined, section: 'pre-data', needs: [7, 8] },
      ]);
    }
  }
});

test('reads no further than it must', async () => {
  let asked = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield archive(15, [['TABLE DATA', 'a', 'b', 3]]);
    for (;;) {
      asked++;
      yield Buffer.alloc(10);
    }
  }
  await readToc(endless());
  assert.equal(asked, 0);
});

test('refuses what is cut, garbled or of another format', async () => {
  const bytes = archive(15, [['TABLE DATA', 'app', 't', 3]]);
  const code = async (broken: Buffer): Promise<string> =>
    readToc(inPieces(broken, 50)).then(
      () => 'none',
      (error: unknown) => (error instanceof LifeboatError ? error.code : String(error)),
    );
  for (const length of [0, 4, 20, bytes.length - 40]) {
    assert.equal(await code(bytes.subarray(0, length)), 'integrity', `cut to ${length}`);
  }
  assert.equal(await code(Buffer.from('-- PostgreSQL database dump\n'.repeat(9))), 'integrity');
  assert.equal(await code(archive(17, [])), 'tool');
});

const entry = (type: string, name: string, section: TocEntry['section'] = 'data'): TocEntry => ({
  dumpId: 1,
  type,
  name,
  schema: 'app',
  section,
  needs: [],
});

const facts = {
  artifacts: {
    schema: 'schema.dump',
    data: 'data.dump',
    tables: [{ artifact: 'data-00000001.dump', schema: 'app', name: 'big' }],
  },
  tables: [
    { schema: 'app', name: 'big', kind: 'r' },
    { schema: 'app', name: 'small', kind: 'r' },
    { schema: 'app', name: 'view', kind: 'm' },
  ],
  sequences: [{ schema: 'app', name: 'seq' }],
  largeObjects: { count: '1', bytes: '2' },
} as unknown as DatabaseFacts;

const right: readonly (readonly [string, readonly TocEntry[]])[] = [
  ['schema.dump', [entry('TABLE', 'big', 'pre-data'), entry('MATERIALIZED VIEW DATA', 'view', 'post-data')]],
  [
    'data.dump',
    [entry('TABLE DATA', 'small'), entry('SEQUENCE SET', 'seq'), { ...entry('BLOBS', 'BLOBS'), schema: undefined }],
  ],
  ['data-00000001.dump', [entry('TABLE DATA', 'big')]],
];

test('parts that hold everything once have no faults', () => {
  assert.deepEqual(checkParts(facts, new Map(right)), []);
});

test('what is missing, doubled or in the wrong part is named', () => {
  const faults = (change: Record<string, readonly TocEntry[]>): string[] =>
    checkParts(facts, new Map([...right, ...Object.entries(change)]));
  assert.deepEqual(faults({ 'data-00000001.dump': [] }), [
    'TABLE DATA of "app"."big" stands in no part instead of data-00000001.dump',
  ]);
  assert.deepEqual(faults({ 'data.dump': [...(right[1]?.[1] ?? []), entry('TABLE DATA', 'big')] }), [
    'TABLE DATA of "app"."big" stands in data.dump and data-00000001.dump instead of data-00000001.dump',
  ]);
  assert.deepEqual(faults({ 'data.dump': (right[1]?.[1] ?? []).slice(0, 1) }), [
    'SEQUENCE SET of "app"."seq" stands in no part instead of data.dump',
    'large objects are missing from data.dump',
  ]);
  assert.deepEqual(
    faults({
      'schema.dump': [entry('TABLE DATA', 'config')],
      'data-00000001.dump': [entry('TABLE DATA', 'big'), entry('TABLE DATA', 'config')],
    }),
    ['TABLE DATA of "app"."config" stands in schema.dump and data-00000001.dump'],
  );
  assert.deepEqual(checkParts(facts, new Map(right.slice(1))), ['schema.dump is missing']);
});
