/**
 * Small inputs that claim, or become, far more than they are: each is refused before it costs memory, stack or time.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { collectAtMost, readAtMost } from '../../src/lib/bounded-read.ts';
import { LifeboatError } from '../../src/lib/errors.ts';
import { parseFacts } from '../../src/repository/backups/facts.ts';
import { openBox } from '../../src/repository/box/box.ts';
import { boxKind } from '../../src/repository/box/layout.ts';
import { splitDocument } from '../../src/repository/box/seal.ts';
import { ownPublicKey } from '../../src/repository/host-state.ts';
import { parseLease } from '../../src/repository/leases/record.ts';
import { IndexPart, IndexPartBuilder } from '../../src/repository/packs/index-part.ts';
import { PackUsage } from '../../src/repository/packs/usage.ts';
import { readCatalog } from '../../src/source/files/catalog.ts';
import { checkManifest } from '../../src/source/postgres/base/manifest.ts';
import { readToc } from '../../src/source/postgres/restore/toc.ts';
import { summarizeRdb } from '../../src/source/redis/rdb/summary.ts';
import { headerOf } from '../../src/source/redis/rdb/writer.ts';
import { drain, streamed } from '../helpers/fuzz/run.ts';
import { sourceParsers } from '../helpers/fuzz/source-parsers.ts';
import { bomb } from '../helpers/repository/bomb.ts';

function isDamage(pattern: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof LifeboatError && error.code === 'integrity' && pattern.test(error.message);
}

test('a box of some MiB does not become gigabytes', async () => {
  for (const kind of [boxKind.index, boxKind.wal, boxKind.document]) {
    const box = await bomb(kind, 'key');
    assert.ok(box.length < 3_000_000);
    await assert.rejects(
      openBox(box, kind, 'key', undefined),
      isDamage(/yields 16777216000 bytes, more than its kind may/),
    );
  }
});

test('documents that are nested a million times are refused', () => {
  const deep = `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`;
  assert.throws(() => parseFacts(Buffer.from(deep), 'backups/b/facts'), isDamage(/is not JSON/));
  const sealed = `{"x": ${deep},\n  "seal": "${'0'.repeat(64)}"\n}\n`;
  assert.throws(() => splitDocument(Buffer.from(sealed), 'notes/b/n.json'), isDamage(/is not JSON/));
  assert.equal(parseLease(Buffer.from(deep)), undefined);
});

test('a sealed document of megabytes is not parsed', () => {
  const sealed = `{"x": [${'[],'.repeat(2_000_000)}[]],\n  "seal": "${'0'.repeat(64)}"\n}\n`;
  assert.throws(() => splitDocument(Buffer.from(sealed), 'audit/h/n.json'), isDamage(/bytes are too many/));
});

test('a file in place of one of ours is not read without end, nor waited for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bounds-'));
  const path = (name: string): string => join(folder, name);
  try {
    writeFileSync(path('small'), 'small');
    writeFileSync(path('huge'), '');
    truncateSync(path('huge'), 2 ** 40);
    execFileSync('mkfifo', [path('pipe')]);
    assert.equal(String(await readAtMost(path('small'), 5)), 'small');
    await assert.rejects(readAtMost(path('small'), 4), isDamage(/has more than 4 B/));
    await assert.rejects(readAtMost(path('huge'), 1_000_000), isDamage(/has more than/));
    for (const each of [path('pipe'), folder, '/dev/zero']) {
      await assert.rejects(readAtMost(each, 1_000_000), isDamage(/is no plain file/));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a key of another length in the state folder is damage, not a bug', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'bounds-'));
  try {
    for (const bytes of [31, 33]) {
      const seed = Buffer.alloc(bytes, 1).toString('base64');
      writeFileSync(join(stateDir, 'signing-key.json'), JSON.stringify({ seed }));
      await assert.rejects(ownPublicKey(stateDir), LifeboatError);
    }
  } finally {
    rmSync(stateDir, { recursive: true });
  }
});

test('a stream that should be short is given up when it is not', async () => {
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) yield Buffer.alloc(65_536);
  };
  await assert.rejects(
    collectAtMost(endless(), 10_000_000, 'globals.sql'),
    isDamage(/globals.sql has more than 9.5 MiB/),
  );
  assert.equal(String(await collectAtMost(streamed(Buffer.from('short'), 2), 5, 'x')), 'short');
});

test('an index that names the four-thousand-millionth frame of a pack makes no table of that size', () => {
  const build = (frame: number, offset: number): IndexPart => {
    const part = new IndexPartBuilder();
    const place = { packId: Buffer.alloc(16), packHeader: Buffer.alloc(64), frame, offset, storedLength: 20 };
    part.add(Buffer.alloc(32), { ...place, plainLength: 4, codec: 0 });
    return new IndexPart(part.encode());
  };
  assert.throws(() => build(0xffff_ffff, 64).record(0), isDamage(/index part/));
  assert.throws(() => build(0, 2 ** 40).record(0), isDamage(/index part/));
  const usage = new PackUsage();
  for (const frame of [0, 31, 32, 4_000_000, 31]) usage.add(build(frame, 64 + frame * 16).record(0));
  assert.equal([...usage.packs()][0]?.usedBytes, 80);
});

test('a catalog claims no header of gigabytes, no place beyond numbers, and no time of a million digits', async () => {
  const rights = { mode: 0, uid: 0, gid: 0 };
  const entry = { path: 'x', type: 'file', ...rights, size: 0, mtime: '@0.000000000', header: 512, root: 0 };
  const line = (more: object): string => `${JSON.stringify({ ...entry, ...more })}\n`;
  const read = async (text: string): Promise<void> => drain(readCatalog(streamed(Buffer.from(text), 65_536)));
  await read(line({}));
  await assert.rejects(read(line({ header: 2 ** 50 })), isDamage(/cannot be read/));
  await assert.rejects(read(line({ size: 2 ** 53 - 1 }).repeat(2)), isDamage(/beyond any tar/));
  await assert.rejects(read(line({ mtime: `@${'9'.repeat(900_000)}.000000000` })), isDamage(/is not a time/));
  await assert.rejects(read('x'.repeat(2_000_000)), isDamage(/too long/));
});

test('an archive has integers of some bytes, and neither texts nor entries without end', async () => {
  const head = (intSize: number, ...more: readonly number[]): Buffer =>
    Buffer.concat([Buffer.from('PGDMP'), Buffer.from([1, 15, 0, intSize, 8, 1, 0, ...more]), Buffer.alloc(200)]);
  await assert.rejects(readToc(streamed(head(0))), isDamage(/integers have 0 bytes/));
  await assert.rejects(readToc(streamed(head(200))), isDamage(/integers have 200 bytes/));
  const fields = Array.from({ length: 35 }, () => 0);
  await assert.rejects(readToc(streamed(head(4, ...fields, 0, 0, 0, 0, 0x10))), isDamage(/too long/));
  const empty = Array.from({ length: 15 }, () => 0);
  await assert.rejects(
    readToc(streamed(head(4, ...fields, ...empty, 0, 0, 0, 0, 0x10))),
    isDamage(/claims 268435456 entries/),
  );
  const dependency = Buffer.from([0, 1, 0, 0, 0, 0x37]);
  const sample = sourceParsers.find(({ name }) => name === 'table of contents')?.samples[0] ?? Buffer.alloc(0);
  const needsAll = async function* (): AsyncGenerator<Uint8Array> {
    yield sample.subarray(0, sample.indexOf(dependency));
    for (;;) yield Buffer.alloc(6 * 10_000, dependency);
  };
  await assert.rejects(readToc(needsAll()), isDamage(/needs too many others/));
});

test('a snapshot has no databases without end', async () => {
  const hostile = Buffer.alloc(100_001 * 8);
  for (let db = 0; db <= 100_000; db++) {
    hostile.set([254, 0x80], db * 8);
    hostile.writeUInt32BE(db, db * 8 + 2);
  }
  const records = Buffer.concat(
    Array.from({ length: 100_001 }, (_, n) =>
      Buffer.concat([hostile.subarray(n * 8, n * 8 + 6), Buffer.from([0, 1, 97, 0])]),
    ),
  );
  await assert.rejects(
    summarizeRdb(streamed(Buffer.concat([headerOf(11), records]), 65_536)),
    isDamage(/more than 100000 databases/),
  );
});

test('a list of files has no line without end', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bounds-'));
  try {
    writeFileSync(join(folder, 'list'), 'x'.repeat(1_000_000));
    await assert.rejects(checkManifest(join(folder, 'list'), new Map()), isDamage(/a line of it is too long/));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
