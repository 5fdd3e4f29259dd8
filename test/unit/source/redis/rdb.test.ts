import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Crc64 } from '../../../../src/source/redis/rdb/crc64.ts';
import { lzfDecompress } from '../../../../src/source/redis/rdb/lzf.ts';
import { summarizeRdb } from '../../../../src/source/redis/rdb/summary.ts';
import { whatLoads, whyNotLoadable } from '../../../../src/source/redis/rdb-versions.ts';
import type { RdbKey } from '../../../../src/source/redis/rdb/walk.ts';
import { walkRdb } from '../../../../src/source/redis/rdb/walk.ts';
import { auxOf, databaseOf, headerOf, keyOf } from '../../../../src/source/redis/rdb/writer.ts';
import { serverVersion } from '../../../../src/source/redis/server-info.ts';

/** A file of the given records, with end and checksum. */
function fileOf(version: number, ...records: readonly (Uint8Array | readonly number[])[]): Buffer {
  const body = Buffer.concat([headerOf(version), ...records.map((record) => Buffer.from(record)), Buffer.from([255])]);
  return version < 5 ? body : Buffer.concat([body, new Crc64().update(body).digest()]);
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

const str = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);

test('the checksum is that of Redis, in any cut', () => {
  assert.equal(new Crc64().update(Buffer.from('123456789')).digest().reverse().toString('hex'), 'e9c6d914c4b8d9ca');
  const bytes = Buffer.from(Array.from({ length: 1000 }, (_, n) => (n * 7) & 255));
  const whole = new Crc64().update(bytes).digest();
  for (const cut of [0, 1, 3, 8, 15, 500, 999]) {
    assert.deepEqual(new Crc64().update(bytes, 0, cut).update(bytes, cut).digest(), whole);
  }
});

/** A stream with one group of one consumer, and what stands behind the consumers. */
function streamWith(counted: readonly number[], ...behind: readonly Buffer[]): Buffer {
  const group = [str('g'), Buffer.from([5, 6, 3, 1]), Buffer.alloc(24), Buffer.from([1, 1])];
  const consumer = [str('c'), Buffer.alloc(16), Buffer.from([1]), Buffer.alloc(16)];
  return Buffer.concat([
    Buffer.from([0, 0, 5, 6, 1, 1, 0, 0, 3, 1]),
    ...group,
    ...consumer,
    Buffer.from(counted),
    ...behind,
  ]);
}

/** What a stream remembers of its producers, as Redis 8.6.3 writes it. */
const numbered = Buffer.from(
  '406440640205' +
    '70726f643101046969643181000001a22e48af3b0005' +
    '70726f64320110893fd0cf5414759ee1ddbfcd0814bd6981000001a22e48af63000200',
  'hex',
);

test('values of every layout end where they should', async () => {
  const value: Record<number, Buffer> = {
    0: str('v'),
    1: Buffer.concat([Buffer.from([2]), str('a'), Buffer.from([0xc0, 5])]),
    2: Buffer.concat([Buffer.from([1]), Buffer.from([0xc1, 5, 5])]),
    3: Buffer.concat([
      Buffer.from([4]),
      str('a'),
      Buffer.from([3]),
      Buffer.from('1.5'),
      str('b'),
      Buffer.from([253]),
      str('c'),
      Buffer.from([254]),
      str('d'),
      Buffer.from([255]),
    ]),
    4: Buffer.concat([Buffer.from([1]), str('f'), Buffer.from([0xc3, 2, 3, 1, 97])]),
    5: Buffer.concat([Buffer.from([1]), str('a'), Buffer.alloc(8)]),
    7: Buffer.concat([
      Buffer.from([0x81, 1, 2, 3, 4, 5, 6, 7, 8]),
      Buffer.from([1, 7, 2, 64, 200, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5]),
      str('text'),
      Buffer.from([0]),
    ]),
    14: Buffer.concat([Buffer.from([2]), str('zl'), str('zl')]),
    15: Buffer.concat([
      Buffer.from([1]),
      str('0123456789abcdef'),
      str('lp'),
      Buffer.from([1, 5, 6, 1]),
      str('g'),
      Buffer.from([5, 6, 1]),
      Buffer.alloc(24),
      Buffer.from([1, 1]),
      str('c'),
      Buffer.alloc(8),
      Buffer.from([1]),
      Buffer.alloc(16),
    ]),
    18: Buffer.concat([Buffer.from([1, 2]), str('lp')]),
    19: Buffer.concat([
      Buffer.from([0, 0, 5, 6, 1, 1, 0, 0, 3, 1]),
      str('g'),
      Buffer.from([5, 6]),
      Buffer.from([0x81, 255, 255, 255, 255, 255, 255, 255, 255]),
      Buffer.from([0, 1]),
      str('c'),
      Buffer.alloc(8),
      Buffer.from([0]),
    ]),
    21: Buffer.concat([
      Buffer.from([0, 0, 5, 6, 1, 1, 0, 0, 3, 1]),
      str('g'),
      Buffer.from([5, 6, 3, 0, 1]),
      str('c'),
      Buffer.alloc(16),
      Buffer.from([0]),
    ]),
    22: Buffer.concat([Buffer.from([1, 0]), str('f'), str('v')]),
    24: Buffer.concat([Buffer.alloc(8), Buffer.from([1, 9]), str('f'), str('v')]),
    25: Buffer.concat([Buffer.alloc(8), str('lp')]),
    26: Buffer.concat([streamWith([]), numbered]),
    27: Buffer.concat([streamWith([2], Buffer.alloc(32)), numbered]),
    28: Buffer.concat([
      Buffer.from([4, 1, 0x81, 0, 0, 0, 1, 0, 0, 0, 0]),
      Buffer.from([0, 0]),
      str('text'),
      Buffer.from([1, 1]),
      Buffer.alloc(8),
      Buffer.from([64, 200, 2]),
      Buffer.alloc(8),
      Buffer.from([0x80, 0, 1, 0, 0, 3]),
      str('small'),
    ]),
  };
  for (const code of [9, 10, 11, 12, 13, 16, 17, 20, 23]) value[code] = str('packed');
  const records = Object.entries(value).flatMap(([code, bytes]) => [
    keyOf(Buffer.from(`k${code}`), Number(code), 7),
    bytes,
  ]);
  const seen: RdbKey[] = [];
  const file = fileOf(14, databaseOf(3, 99, 99), ...records);
  for (const size of [1, file.length]) {
    seen.length = 0;
    const cut = (async function* () {
      for (let at = 0; at < file.length; at += size) yield file.subarray(at, at + size);
    })();
    await walkRdb(cut, { onKey: (key) => void seen.push({ ...key, key: Buffer.from(key.key) }) });
    assert.deepEqual(
      seen.map((key) => [key.key.toString(), key.db, key.valueLength, key.expireAtMs]),
      Object.entries(value).map(([code, bytes]) => [`k${code}`, 3, bytes.length, 7]),
    );
  }
});

test('other records: seconds, LRU, LFU, functions, module and slot data, and the Valkey form', async () => {
  const keys: RdbKey[] = [];
  const file = fileOf(
    11,
    auxOf('redis-ver', '7.2.0'),
    [247, 1, 2, 1, 2, 7, 0],
    [245],
    str('#!lua name=x\n'),
    [244, 1, 1, 0],
    [254, 0],
    [243, 2, 65, 66, 67, 68, 2, 7, 0, 69, 70, 71, 72, 5],
    str('text'),
    [0],
    [253, 1, 0, 0, 0],
    [248, 44],
    [0],
    str('a'),
    str('v'),
    [249, 200, 0],
    str('b'),
    str('v'),
  );
  const summary = await summarizeRdb(once(file), { onKey: (key) => void keys.push(key) });
  assert.deepEqual(
    keys.map(({ expireAtMs, idleSeconds, frequency, hasMetadata }) => [
      expireAtMs,
      idleSeconds,
      frequency,
      hasMetadata,
    ]),
    [
      [1000, 44, undefined, true],
      [undefined, undefined, 200, false],
    ],
  );
  assert.deepEqual(
    [summary.functions[0]?.name, summary.aux['redis-ver'], summary.keys, summary.expires],
    ['x', '7.2.0', 2, 1],
  );
  const valkey = fileOf(
    80,
    [243],
    str('job'),
    [1, 5, 64, 200],
    [254, 0, 22],
    str('h'),
    [1],
    str('f'),
    str('v'),
    Buffer.alloc(8, 255),
  );
  assert.deepEqual([(await summarizeRdb(once(valkey))).valkey, valkey.toString('latin1', 0, 9)], [true, 'VALKEY080']);
  assert.equal((await summarizeRdb(once(fileOf(3, [254, 0, 0], str('k'), str('v'))))).crc, 'unverified');
});

test('hostile files are refused at once and cost no memory', async () => {
  const huge = [0x81, 0, 0, 0, 200, 0, 0, 0, 0];
  const before = process.memoryUsage().rss;
  const hostile: readonly (readonly number[])[] = [
    [254, 0, 0, ...huge],
    [254, 0, 0, 1, 97, ...huge],
    [254, 0, 1, 1, 97, 0x81, 255, 255, 255, 255, 255, 255, 255, 255],
    [254, 0, 0, 0xc3, 2, ...huge, 0, 97],
    [250, ...huge],
    [245, ...huge],
    [254, ...huge],
    [254, 0, 0, 0xcf],
    [254, 0, 7, 1, 97, 1, 9],
    [254, 0, 28, 1, 97, 1, 2],
    [254, 0, 28, 1, 97, 1, 0, 0, 4],
    [254, 0, 28, 1, 97, 0x81, 255, 255, 255, 255, 255, 255, 255, 255, 0],
    [243, ...huge],
  ];
  for (const record of hostile) await assert.rejects(walkRdb(once(fileOf(10, record)), {}), { code: 'integrity' });
  // Damage in a version that is known; in a later one it may be a type that this program does not know.
  await assert.rejects(walkRdb(once(fileOf(10, [254, 0, 99, 1, 97])), {}), {
    code: 'integrity',
    message: /value type 99/,
  });
  await assert.rejects(walkRdb(once(fileOf(99, [254, 0, 99, 1, 97])), {}), { code: 'tool', message: /value type 99/ });
  for (const text of ['', 'REDIS', 'REDISabcd', 'REDIS0000', 'PGDMP', '<html>']) {
    await assert.rejects(walkRdb(once(Buffer.from(text)), {}), { code: 'integrity' });
  }
  assert.ok(process.memoryUsage().rss - before < 50e6);
});

test('compressed strings: literals, overlapping references, damage', () => {
  assert.equal(lzfDecompress(Buffer.from([2, 97, 98, 99, 0x20 * 4, 2]), 9).toString(), 'abcabcabc');
  assert.equal(lzfDecompress(Buffer.from([0, 97, 0xe0, 1, 0]), 11).toString(), 'a'.repeat(11));
  for (const bad of [
    [5, 97],
    [0, 97, 0x20, 5],
    [0, 97, 0xe0],
    [0, 97, 0x20],
    [0, 97],
  ]) {
    assert.throws(() => lzfDecompress(Buffer.from(bad), 4), { code: 'integrity' });
  }
});

test('which server loads which file', () => {
  const redis = (version: string) => serverVersion('redis', version);
  const valkey = (version: string) => serverVersion('valkey', version);
  const of = (version: number) => ({ version, valkey: version >= 80 });
  for (const [rdb, server] of [
    [10, redis('7.0.15')],
    [9, redis('7.0.15')],
    [11, redis('7.2.0')],
    [12, redis('8.0.0')],
    [13, redis('8.6.0')],
    [13, redis('8.8.0')],
    [15, redis('8.10.0')],
    [11, valkey('8.1.0')],
    [80, valkey('9.0.0')],
    [11, valkey('9.0.0')],
    [9, redis('5.0.0')],
  ] as const) {
    assert.equal(whyNotLoadable(of(rdb), server), undefined, `${rdb} into ${server.text}`);
  }
  for (const [rdb, server] of [
    [11, redis('7.0.15')],
    [10, redis('6.2.0')],
    [12, redis('7.2.4')],
    [13, redis('8.4.0')],
    [14, redis('8.6.3')],
    [12, valkey('8.0.0')],
    [12, valkey('9.0.0')],
    [80, valkey('8.1.0')],
    [80, redis('8.6.0')],
    [81, valkey('9.0.1')],
  ] as const) {
    assert.match(whyNotLoadable(of(rdb), server) ?? '', /cannot be loaded by/, `${rdb} into ${server.text}`);
  }
});

test('what is needed where a server cannot load a file', () => {
  for (const [version, text] of [
    [10, 'Redis 7.0 or Valkey 7.2 or newer'],
    [12, 'Redis 7.4 or newer'],
    [13, 'Redis 8.6 or newer'],
    [80, 'Valkey 9.0 or newer'],
    [99, 'a server of the same release as the backed up one'],
  ] as const) {
    assert.equal(whatLoads({ version, valkey: version >= 80 }), text);
  }
});
