/** What becomes of a snapshot when the checker of the servers that are installed here knows nothing of it. */
import assert from 'node:assert/strict';
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { judgeRdb } from '../../src/source/redis/rdb-checkers.ts';
import { summarizeFile } from '../../src/source/redis/rdb-file.ts';
import { Crc64 } from '../../src/source/redis/rdb/crc64.ts';
import { databaseOf, headerOf, keyOf } from '../../src/source/redis/rdb/writer.ts';
import { collectingContext } from '../helpers/servers/redis.ts';

const folder = mkdtempSync(join(tmpdir(), 'checkers-'));
after(() => rmSync(folder, { recursive: true }));

const str = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);

/** Writes a file of one key, judges it as a backup does, and gives the verdict with all warnings. */
async function judged(version: number, type: number, value: Uint8Array, hasChecksum = true): Promise<unknown[]> {
  const body = Buffer.concat([headerOf(version), databaseOf(0, 1, 0), keyOf(Buffer.from('k'), type, undefined), value]);
  const whole = Buffer.concat([body, Buffer.from([255])]);
  const path = join(folder, 'dump.rdb');
  writeFileSync(path, Buffer.concat([whole, hasChecksum ? new Crc64().update(whole).digest() : Buffer.alloc(8)]));
  const context = collectingContext();
  const checkedBy = await judgeRdb(path, await summarizeFile(path, context), context);
  return [checkedBy, ...context.events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))];
}

test('a checker that does not know the magic, the version or a type is no judge, checksum or not', async () => {
  const [text, stream] = [str('v'), Buffer.alloc(15)];
  const expiring = Buffer.concat([Buffer.from([1]), str('f'), str('v'), Buffer.alloc(8, 1)]);
  for (const hasChecksum of [true, false]) {
    assert.deepEqual(await judged(10, 0, text, hasChecksum), ['redis-check-rdb'], 'what it knows');
    assert.deepEqual(await judged(80, 0, text, hasChecksum), ['lifeboat'], 'the magic of Valkey 9');
    assert.deepEqual(await judged(80, 22, expiring, hasChecksum), ['lifeboat'], 'a hash of Valkey 9');
    assert.deepEqual(await judged(13, 26, stream, hasChecksum), ['lifeboat'], 'a stream of Redis 8.6');
  }
});

test('a damage that it finds: told where the checksum matches, else it ends the backup', async () => {
  const broken = str('no listpack');
  const [checkedBy, warning] = await judged(10, 16, broken);
  assert.equal(checkedBy, 'lifeboat');
  assert.match(String(warning), /^redis-check-rdb finds .* damaged: .*listpack.*; its checksum is right/i);
  await assert.rejects(judged(10, 16, broken, false), { code: 'integrity', message: /redis-check-rdb finds/ });
});
