import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { compileGlob } from '../../src/source/redis/glob.ts';
import type { RdbKey } from '../../src/source/redis/rdb/walk.ts';
import { summarizeRdb } from '../../src/source/redis/rdb/summary.ts';
import { Crc64 } from '../../src/source/redis/rdb/crc64.ts';
import type { TestRedis } from '../helpers/servers/redis.ts';
import { fillSample, startRedis } from '../helpers/servers/redis.ts';

let server: TestRedis;
let whole: Buffer;

before(async () => {
  server = await startRedis();
  await fillSample(server);
  server.cli(['SAVE']);
  whole = readFileSync(join(server.dir, 'dump.rdb'));
});
after(() => server.stop());

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test("each key's place in the file gives the very payload that DUMP gives", async () => {
  const client = server.client();
  const keys: RdbKey[] = [];
  await summarizeRdb(pieces(whole, 65_536), { onKey: (key) => void keys.push({ ...key, key: Buffer.from(key.key) }) });
  let compared = 0;
  for (const key of keys) {
    await client.select(key.db);
    const value = Buffer.concat([
      Buffer.from([key.typeCode]),
      whole.subarray(key.valueOffset, key.valueOffset + key.valueLength),
      Buffer.from([10, 0]),
    ]);
    const payload = Buffer.concat([value, new Crc64().update(value).digest()]);
    // A set or hash in a table has no fixed order, so length and a RESTORE that digests equal are compared.
    const dumped = await client.dumpBuffer(key.key);
    assert.equal(payload.length, dumped?.length);
    // The expiry is part of the digest.
    await client.call('RESTORE', ['copy', key.expireAtMs ?? 0, payload, 'ABSTTL']);
    const [one, two] = (await client.call('DEBUG', ['DIGEST-VALUE', key.key, 'copy'])) as string[];
    assert.equal(one, two, `${key.db} ${key.key.toString('latin1', 0, 30)}`);
    assert.equal(key.expireAtMs ?? -1, await client.call('PEXPIRETIME', [key.key]));
    await client.del('copy');
    compared++;
  }
  assert.equal(compared, 37);
});

test('the result does not depend on how the bytes come', async () => {
  const small = await smallFile();
  const wanted = await summarizeRdb(pieces(small, small.length));
  for (const size of [1, 2, 3, 7, 31, 32, 33, 1000]) assert.deepEqual(await summarizeRdb(pieces(small, size)), wanted);
});

test('every flipped bit and every truncation is noticed', async () => {
  const small = await smallFile();
  for (let at = 0; at < small.length; at++) {
    const damaged = Buffer.from(small);
    damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
    await assert.rejects(
      summarizeRdb(pieces(damaged, 4096)),
      (error: { code?: string }) => error.code === 'integrity' || error.code === 'tool',
      `byte ${at}`,
    );
    await assert.rejects(summarizeRdb(pieces(small.subarray(0, at), 4096)), { code: 'integrity' }, `cut at ${at}`);
  }
  await assert.rejects(summarizeRdb(pieces(Buffer.concat([small, Buffer.from('x')]), 4096)), {
    code: 'integrity',
    message: /follows its end/,
  });
});

test('key patterns mean what KEYS means, on 400 patterns', async () => {
  const client = server.client(5);
  const alphabet = 'ab-^]c[*?\\é';
  let state = 42;
  const random = (below: number): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) % below;
  const word = (length: number): string => Array.from({ length }, () => [...alphabet][random(11)]).join('');
  const keys = Array.from({ length: 300 }, () => word(1 + random(5)));
  await client.mset(Object.fromEntries(keys.map((key) => [key, 'v'])));
  await client.set(Buffer.from([255, 0, 97]), 'v');
  const all = await client.keysBuffer('*');
  for (let n = 0; n < 400; n++) {
    const pattern = n < 4 ? (['*', '', '[^a-c]*', 'a[b'] as const)[n as 0] : word(1 + random(7));
    const matches = compileGlob(pattern);
    const wanted = (await client.keysBuffer(pattern)).map((key) => key.toString('latin1')).sort();
    assert.deepEqual(
      all
        .filter((key) => matches(key))
        .map((key) => key.toString('latin1'))
        .sort(),
      wanted,
      JSON.stringify(pattern),
    );
  }
});

/** A file of about 2 kB with every kind of record that a server writes for small data. */
async function smallFile(): Promise<Buffer> {
  const small = await startRedis({ config: { 'maxmemory-policy': 'allkeys-lru' } });
  try {
    const client = small.client(0);
    await client.set('plain', 'value');
    await client.set('lzf', 'abc'.repeat(50), 'PX', 1e9);
    await client.set('number', 123_456);
    await client.rpush('list', 'a', 'b');
    await client.sadd('set', 1, 2);
    await client.zadd('zset', 1.5, 'a');
    await client.hset('hash', 'f', 'v');
    await client.xadd('stream', '1-1', 'f', 'v');
    await client.xgroup('CREATE', 'stream', 'g', '0');
    await client.xreadgroup('GROUP', 'g', 'c', 'STREAMS', 'stream', '>');
    await client.call('FUNCTION', 'LOAD', "#!lua name=lib\nredis.register_function('f', function() return 1 end)");
    await small.client(9).set('other', 'db');
    small.cli(['SAVE']);
    return readFileSync(join(small.dir, 'dump.rdb'));
  } finally {
    await small.stop();
  }
}
