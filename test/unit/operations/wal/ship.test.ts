/** What a stream says it has stored is what lies in the repository, not what it took before it was compressed. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { Shipper } from '../../../../src/operations/wal/stream/ship.ts';
import { StreamSpool } from '../../../../src/operations/wal/stream/spool.ts';
import { encryption, testRepository } from '../../../helpers/repository/repository.ts';

const mib = 1024 * 1024;
const systemId = '7001';
const [first, second] = ['000000010000000000000001', '000000010000000000000002'] as const;

/** As PostgreSQL 15 begins it, with a little log and zeros behind it. */
function segment(number: bigint): Buffer {
  const body = Buffer.alloc(mib);
  body.writeUInt16LE(0xd110, 0);
  body.writeUInt16LE(2, 2);
  body.writeUInt32LE(1, 4);
  body.writeBigUInt64LE(number * BigInt(mib), 8);
  body.writeBigUInt64LE(BigInt(systemId), 24);
  body.writeUInt32LE(mib, 32);
  body.fill('log ', 40, 4096);
  return body;
}

test('storedBytes is what the objects take', async () => {
  const home = testRepository();
  after(() => home[Symbol.dispose]());
  const repository = await home.create(encryption({ key: 'b2'.repeat(32) }));
  const folder = join(dirname(home.root), 'spool');
  mkdirSync(folder, { recursive: true });
  const spool = new StreamSpool(folder, mib);
  const compression = { method: 'zstd', level: 3 } as const;
  const options = { repository, spool, systemId, segmentBytes: mib, compression, jobs: 2, emit: () => {} };
  writeFileSync(join(folder, first), segment(1n));
  writeFileSync(join(folder, `${second}.partial`), segment(2n));
  const shipper = new Shipper(options);
  await shipper.pass(true);
  const inRepository = readdirSync(join(home.root, 'wal'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.wal'))
    .map((name) => statSync(join(home.root, 'wal', name)).size);
  assert.equal(inRepository.length, 2);
  assert.equal(
    shipper.storedBytes,
    inRepository.reduce((a, b) => a + b),
  );
  assert.ok(shipper.storedBytes < mib / 4, `${shipper.storedBytes} bytes`);
  assert.equal(shipper.shippedBytes, mib);
  const again = new Shipper(options);
  await again.pass(true);
  assert.equal(again.storedBytes, 0, 'it was there');
});
