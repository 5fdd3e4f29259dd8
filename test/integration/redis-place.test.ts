import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { placeRedisSnapshot } from '../../src/source/redis/place.ts';
import type { TakenBackup, TestRedis } from '../helpers/servers/redis.ts';
import {
  addressOf,
  backUp,
  collectingContext,
  digestOf,
  fillSample,
  readerOf,
  startRedis,
} from '../helpers/servers/redis.ts';

let source: TestRedis;
let taken: TakenBackup;
let dir: string;

before(async () => {
  source = await startRedis();
  await fillSample(source);
  taken = await backUp(addressOf(source));
});
after(() => source.stop());

async function inFolder(work: () => Promise<void>): Promise<void> {
  dir = mkdtempSync(join(tmpdir(), 'lbtest-place-'));
  try {
    await work();
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('with snapshots: the next start holds the backup, what was there is kept', () =>
  inFolder(async () => {
    writeFileSync(join(dir, 'dump.rdb'), 'old');
    const report = await placeRedisSnapshot(
      { reader: readerOf(taken.bytes), facts: taken.facts, dir, appendonly: false },
      collectingContext(),
    );
    assert.equal(readFileSync(report.keptBefore ?? '', 'utf8'), 'old');
    assert.match(report.keptBefore ?? '', /dump\.rdb\.before_\d{8}T\d{6}$/);
    const server = await startRedis({ dir });
    assert.equal(digestOf(server), digestOf(source));
    await server.stop();
  }));

test('with an append-only file: the next start holds the backup, and so does the one after a kill', () =>
  inFolder(async () => {
    const config = { appendonly: 'yes', save: '3600 1' };
    const first = await startRedis({ dir, config });
    first.cli(['SET', 'old', 'data']);
    await first.stop();
    const report = await placeRedisSnapshot(
      { reader: readerOf(taken.bytes), facts: taken.facts, dir, appendonly: true },
      collectingContext(),
    );
    assert.ok(readdirSync(report.keptBefore ?? '').some((name) => name.endsWith('.manifest')));
    const server = await startRedis({ dir, config });
    assert.equal(digestOf(server), digestOf(source));
    server.cli(['SET', 'new', 'data']);
    const digest = digestOf(server);
    server.cli(['CONFIG', 'SET', 'appendfsync', 'always']);
    server.cli(['SET', 'new', 'data']);
    await server.kill();
    const again = await server.restart();
    assert.equal(digestOf(again), digest);
    await again.stop();
  }));

test('a Redis before 7 gets one append-only file that begins with the snapshot', () =>
  inFolder(async () => {
    const report = await placeRedisSnapshot(
      { reader: readerOf(taken.bytes), facts: taken.facts, dir, appendonly: true, serverMajor: 6 },
      collectingContext(),
    );
    assert.deepEqual([report.placed, report.keptBefore], [join(dir, 'appendonly.aof'), undefined]);
    // Redis 7 takes over such a file, so it can prove the form.
    const server = await startRedis({ dir, config: { appendonly: 'yes' } });
    assert.equal(digestOf(server), digestOf(source));
    await server.stop();
  }));

test('files belong to the owner of the folder', () =>
  inFolder(async () => {
    const { chownSync } = await import('node:fs');
    if (process.getuid?.() === 0) chownSync(dir, 65_534, 65_534);
    const { placed } = await placeRedisSnapshot(
      { reader: readerOf(taken.bytes), facts: taken.facts, dir, appendonly: true },
      collectingContext(),
    );
    for (const path of [placed, ...readdirSync(placed).map((name) => join(placed, name))]) {
      assert.equal(statSync(path).uid, statSync(dir).uid);
    }
  }));

test('refused while a server runs on the folder, and for a damaged snapshot: nothing changes', () =>
  inFolder(async () => {
    const server = await startRedis({ dir });
    const before = readdirSync(dir);
    await assert.rejects(
      placeRedisSnapshot(
        { reader: readerOf(taken.bytes), facts: taken.facts, dir, appendonly: false },
        collectingContext(),
      ),
      { code: 'confirmation', message: /is running on/ },
    );
    assert.deepEqual(readdirSync(dir), before);
    await server.stop();
    mkdirSync(join(dir, 'appendonlydir'));
    const listed = readdirSync(dir);
    await assert.rejects(
      placeRedisSnapshot(
        { reader: readerOf(taken.bytes.subarray(0, -1)), facts: taken.facts, dir, appendonly: true },
        collectingContext(),
      ),
      { code: 'integrity' },
    );
    assert.deepEqual(readdirSync(dir), listed);
    await assert.rejects(
      placeRedisSnapshot(
        { reader: readerOf(taken.bytes), facts: taken.facts, dir: join(dir, 'absent'), appendonly: true },
        collectingContext(),
      ),
      { code: 'usage' },
    );
  }));
