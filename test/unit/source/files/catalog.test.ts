/** Catalog lines, times and names: every value comes back as it was. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeboatError } from '../../../../src/lib/errors.ts';
import {
  type CatalogEntry,
  encodeCatalogLine,
  formatTimeNs,
  parseTimeNs,
  type PlacedEntry,
  readCatalog,
} from '../../../../src/source/files/catalog.ts';
import { compareTreeOrder, displayPath, isWithin } from '../../../../src/source/files/names.ts';

const entry: CatalogEntry = {
  path: Buffer.from('srv/ü\n"'),
  type: 'file',
  mode: 0o4755,
  uid: 0,
  gid: 4_294_967_294,
  user: 'root',
  group: '',
  size: 700,
  mtimeNs: -1n,
  sha256: 'ab'.repeat(32),
  headerBytes: 1536,
  root: 1,
  link: undefined,
  map: undefined,
  sparse: true,
  changed: true,
  device: undefined,
};

async function* pieces(text: string, length: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(length);
  for (const bytes = Buffer.from(text); ;) {
    for (let at = 0; at < bytes.length; at += length) yield buffer.subarray(0, bytes.copy(buffer, 0, at, at + length));
    return;
  }
}

async function entriesOf(text: string): Promise<PlacedEntry[]> {
  const entries: PlacedEntry[] = [];
  for await (const placed of readCatalog(pieces(text, 100))) entries.push(placed);
  return entries;
}

test('lines come back as they were, at their places, however the stream is cut', async () => {
  const entries: CatalogEntry[] = [
    entry,
    { ...entry, path: Buffer.from([0xff, 0x80]), sparse: false, changed: false, user: '', size: 512 },
    { ...entry, type: 'symlink', size: 0, sha256: undefined, link: Buffer.from([0x2f, 0xfe]) },
    { ...entry, type: 'char', size: 0, sha256: undefined, device: { major: 1, minor: 3 } },
  ];
  const text = entries.map(encodeCatalogLine).join('');
  for (const length of [1, 7, 1000, 100_000]) {
    const read = [];
    for await (const placed of readCatalog(pieces(text, length))) read.push(placed);
    assert.deepEqual(
      read.map(({ offset, dataOffset, endOffset, ...rest }) => [offset, dataOffset, endOffset, rest]),
      [
        [0, 1536, 2560, entries[0]],
        [2560, 4096, 4608, entries[1]],
        [4608, 6144, 6144, entries[2]],
        [6144, 7680, 7680, entries[3]],
      ],
    );
  }
});

test('a line that is torn, not JSON, or has strange keys or values is refused', async () => {
  const line = encodeCatalogLine(entry);
  for (const text of [
    line.slice(0, -1),
    `${line}\n`,
    '[]\n',
    line.replace('"mode"', '"mood"'),
    line.replace(':700,', ':-1,'),
    line.replace('"file"', '"tape"'),
    line.replace('1969-', '19x9-'),
  ]) {
    await assert.rejects(
      async () => {
        for await (const _ of readCatalog(pieces(text, 100)));
      },
      (error) => error instanceof LifeboatError && error.code === 'integrity',
      text,
    );
  }
});

test('a map of holes comes back as it was; one that cannot be is refused', async () => {
  const map = {
    length: 1_000_000,
    data: [
      { start: 512, end: 1024 },
      { start: 4096, end: 5000 },
    ],
  };
  const mapped: CatalogEntry = { ...entry, size: 512 + 512 + 904, map };
  const line = encodeCatalogLine(mapped);
  const [read] = await entriesOf(line);
  assert.deepEqual(read?.map, map);
  const data = '"data":[512,512,4096,904]';
  for (const [from, to] of [
    [data, '"data":[512,512,4096,905]'],
    [data, '"data":[4096,904,512,512]'],
    [data, '"data":[512,1000,600,416]'],
    [data, '"data":[512,512,4096,904,9]'],
    [data, '"data":[512,512,999999,904]'],
    [data, '"data":[512,1416,4096,0]'],
    [data, `"data":[${Array.from({ length: 8194 }, (_, at) => at).join()}]`],
    [`,${data}`, ''],
    ['"length":1000000,', ''],
    ['"length":1000000', '"length":4999'],
    ['"sparse":true,', ''],
    ['"file"', '"folder"'],
  ] as const) {
    assert.ok(line.includes(from), from);
    await assert.rejects(
      entriesOf(line.replace(from, to)),
      (error) => error instanceof LifeboatError && error.code === 'integrity',
      to.slice(0, 100),
    );
  }
});

test('times keep their nanoseconds in every year', () => {
  const times: [bigint, string][] = [
    [0n, '1970-01-01T00:00:00.000000000Z'],
    [-1n, '1969-12-31T23:59:59.999999999Z'],
    [1_700_000_000_123_456_789n, '2023-11-14T22:13:20.123456789Z'],
    [253_402_300_799_999_999_999n, '9999-12-31T23:59:59.999999999Z'],
    [253_402_300_800_000_000_001n, '@253402300800.000000001'],
    [-62_167_219_200_000_000_001n, '@-62167219201.999999999'],
  ];
  for (const [ns, text] of times) {
    assert.equal(formatTimeNs(ns), text);
    assert.equal(parseTimeNs(text), ns);
  }
});

test('the order of a tree: a folder, then what is in it, then names that only begin like it', () => {
  const paths = ['a', 'a/b', 'a/b/c', 'a/ba', 'a b', 'a.b', 'aa', 'b'];
  const sorted = [...paths]
    .reverse()
    .map((path) => Buffer.from(path))
    .sort(compareTreeOrder);
  assert.deepEqual(sorted.map(String), paths);
});

test('a path is within a folder by whole names only', () => {
  assert.ok(isWithin(Buffer.from('a/b'), Buffer.from('a')));
  assert.ok(isWithin(Buffer.from('a'), Buffer.from('a')));
  assert.ok(!isWithin(Buffer.from('ab'), Buffer.from('a')));
});

test('paths in messages stay on one line', () => {
  assert.equal(displayPath(Buffer.from('/srv/ü x')), '/srv/ü x');
  assert.equal(displayPath(Buffer.from('/a\n"b"\\')), '"/a\\x0a\\"b\\"\\\\"');
  assert.equal(displayPath(Buffer.from([0x2f, 0xff, 0x1b])), '"/\\xff\\x1b"');
});
