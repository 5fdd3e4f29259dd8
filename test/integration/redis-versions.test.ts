/** Redis 8.6 and Valkey 9 beside the installed Redis 7.0: what only they have is backed up, and comes back the same. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Secret } from '../../src/lib/secret.ts';
import { restoreRedis } from '../../src/source/redis/restore.ts';
import { startCuttingProxy } from '../helpers/servers/cutting-proxy.ts';
import {
  addressOf,
  backUp,
  collectingContext,
  digestOf,
  fillSample,
  readerOf,
  startRedis,
  type TakenBackup,
  type TestRedis,
} from '../helpers/servers/redis.ts';
import { programsOf } from '../helpers/versions/server-versions.ts';

/** What a new server of a version holds that loads the file: its digest, and what the commands answer. */
async function loadedBy(version: string, bytes: Buffer, ...commands: readonly string[][]): Promise<unknown[]> {
  const dir = mkdtempSync(join(tmpdir(), 'lbtest-load-'));
  writeFileSync(join(dir, 'dump.rdb'), bytes);
  const server = await startRedis({ dir, version });
  try {
    return answersOf(server, commands);
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true });
  }
}

function answersOf(server: TestRedis, commands: readonly string[][]): unknown[] {
  return [digestOf(server), ...commands.map((command) => server.cli(command))];
}

/** Restores into an empty server of the version, key by key; gives what it holds then. */
async function restoredInto(version: string, taken: TakenBackup, commands: readonly string[][]): Promise<unknown[]> {
  const target = await startRedis({ version });
  try {
    const request = { reader: readerOf(taken.bytes), facts: taken.facts, target: addressOf(target), replace: false };
    const more = { method: 'pipeline', safetySnapshot: undefined, scratchDir: tmpdir() } as const;
    await restoreRedis({ ...request, ...more }, collectingContext());
    return answersOf(target, commands);
  } finally {
    await target.stop();
  }
}

test('Redis 8.6: streams with numbered producers, groups and pending messages, and expiring fields', async () => {
  const server = await startRedis({ version: 'redis-8.6' });
  await fillSample(server);
  const fill = [
    'XADD numbered IDMP producer first 1-1 a b',
    'XADD numbered IDMP producer second 2-1 a c',
    'XADD numbered IDMPAUTO other 3-1 a d',
    'XGROUP CREATE numbered workers 0',
    'XREADGROUP GROUP workers alice COUNT 2 STREAMS numbered >',
    'XADD plain 5-1 a b',
    'XGROUP CREATE made only 0 MKSTREAM',
    'HSET h f 1 g 2',
    'HPEXPIREAT h 4102444800123 FIELDS 1 f',
  ];
  for (const line of fill) server.cli(line.split(' '));
  const commands = ['XINFO STREAM numbered', 'XPENDING numbered workers', 'HPEXPIRETIME h FIELDS 2 f g'].map((line) =>
    line.split(' '),
  );
  const held = answersOf(server, commands);
  for (const method of ['replication', 'scan'] as const) {
    const taken = await backUp(addressOf(server), method);
    assert.deepEqual([taken.facts.rdbVersion, taken.facts.crc, taken.facts.checkedBy], [13, 'verified', 'lifeboat']);
    assert.deepEqual(await loadedBy('redis-8.6', taken.bytes, ...commands), held, method);
    assert.deepEqual(await restoredInto('redis-8.6', taken, commands), held, `${method}, key by key`);
  }
  await server.stop();
});

test('Valkey 9: fields that expire, over TLS, also where it saves first or has dual channels', async () => {
  const commands = [['HPEXPIRETIME', 'h', 'FIELDS', '2', 'f', 'g']];
  for (const config of [
    {},
    { 'repl-diskless-sync': 'no' },
    { 'dual-channel-replication-enabled': 'yes', 'repl-diskless-load': 'swapdb' },
  ]) {
    const server = await startRedis({ version: 'valkey-9', config, password: 'pw', tls: 'required' });
    await fillSample(server);
    server.cli(['HSET', 'h', 'f', '1', 'g', '2']);
    server.cli(['HPEXPIREAT', 'h', '4102444800123', 'FIELDS', '1', 'f']);
    server.cli(['HSETEX', 'all', 'PXAT', '4102444800456', 'FIELDS', '1', 'f', 'v']);
    const held = answersOf(server, commands);
    const taken = await backUp(addressOf(server), 'replication');
    assert.deepEqual(
      [taken.facts.flavour, taken.facts.rdbVersion, taken.facts.consistency, taken.bytes.toString('latin1', 0, 9)],
      ['valkey', 80, 'snapshot', 'VALKEY080'],
    );
    assert.deepEqual(await loadedBy('valkey-9', taken.bytes, ...commands), held);
    if (Object.keys(config).length === 0) {
      assert.deepEqual(await restoredInto('valkey-9', taken, commands), held, 'key by key');
      const scanned = await backUp(addressOf(server), 'scan');
      assert.deepEqual(await loadedBy('valkey-9', scanned.bytes, ...commands), held, 'by scan');
    }
    await server.stop();
  }
});

test("where only Valkey's programs are, they do what Redis' do elsewhere", async () => {
  const server = await startRedis({ version: 'valkey-9', password: 'pw' });
  await fillSample(server);
  server.cli(['HSET', 'h', 'f', '1']);
  const path = process.env['PATH'];
  process.env['PATH'] = programsOf('valkey-9');
  try {
    assert.equal((await backUp(addressOf(server))).facts.checkedBy, 'valkey-check-rdb');
    await using proxy = await startCuttingProxy(server, 1);
    const { bytes, facts } = await backUp({ url: new Secret(proxy.url) }, 'replication');
    assert.deepEqual([proxy.asked, facts.consistency, facts.checkedBy], [2, 'snapshot', 'valkey-check-rdb']);
    assert.deepEqual(await loadedBy('valkey-9', bytes), answersOf(server, []));
  } finally {
    process.env['PATH'] = path;
  }
  await server.stop();
});

test('what a server cannot load is refused before it is touched, and the hint names what can', async () => {
  const sources = await Promise.all([startRedis({ version: 'redis-8.6' }), startRedis({ version: 'valkey-9' })]);
  const [redis, valkey] = sources;
  for (const server of sources) server.cli(['SET', 'k', 'v']);
  for (const [from, to, message, hint] of [
    [redis, valkey, /RDB version 13 \(Redis\) cannot be loaded by Valkey 9/, /Redis 8\.6 or newer/],
    [valkey, redis, /RDB version 80 \(Valkey\) cannot be loaded by Redis 8\.6/, /Valkey 9\.0 or newer/],
  ] as const) {
    const { bytes, facts } = await backUp(addressOf(from), 'replication');
    const request = { reader: readerOf(bytes), facts, target: addressOf(to), replace: true };
    const more = { method: 'auto', safetySnapshot: undefined, scratchDir: tmpdir() } as const;
    await assert.rejects(restoreRedis({ ...request, ...more }, collectingContext()), {
      code: 'tool',
      message,
      hint,
      state: 'nothing was changed',
    });
  }
  for (const server of sources) await server.stop();
});
