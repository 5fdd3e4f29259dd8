/**
 * A hole at the end of an archive: one that a push closes a moment later is no gap, one that stays is; old ones are not
 * waited for.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { takeInventory } from '../../../../src/operations/pitr/wal-inventory.ts';
import { holdsWhole } from '../../../../src/operations/wal/gaps.ts';
import { settled } from '../../../../src/operations/wal/settled.ts';
import { surveySystem } from '../../../../src/operations/wal/survey.ts';
import type { Repository } from '../../../../src/repository/repository.ts';
import { putWal } from '../../../../src/repository/wal/archive.ts';
import { segmentName } from '../../../../src/source/postgres/wal/file-name.ts';
import { encryption, testRepository } from '../../../helpers/repository/repository.ts';

const mib = 1 << 20;
const systemId = '7001';
const name = (number: number): string => segmentName(1, BigInt(number), mib);

interface Archive {
  readonly repository: Repository;
  /** How often all of it was listed. */
  readonly listings: () => number;
  put(...numbers: number[]): Promise<void>;
}

async function archive(): Promise<Archive> {
  const home = testRepository();
  after(() => home[Symbol.dispose]());
  const repository = await home.create(encryption({ key: 'b2'.repeat(32) }));
  const sealing = await repository.writeKey();
  const { storage } = repository;
  const list = storage.list.bind(storage);
  let listings = 0;
  storage.list = (prefix, from) => {
    if (prefix === `wal/${systemId}/`) listings++;
    return list(prefix, from);
  };
  const put = async (...numbers: number[]): Promise<void> => {
    for (const number of numbers) {
      await putWal(repository, systemId, name(number), Buffer.alloc(mib, number), {
        sealing,
        compression: { method: 'zstd', level: 1 },
      });
    }
  };
  return { repository, listings: () => listings, put };
}

/** Who looks, and which of the segments from 3 on, up to the last, they miss. */
const lookers: Readonly<Record<string, (repository: Repository) => Promise<string[]>>> = {
  status: async (repository) => (await surveySystem(repository, systemId)).system.gaps.map(({ first }) => first),
  'a recovery': async (repository) => {
    const { log } = await takeInventory(repository, { systemIdentifier: systemId, walSegmentBytes: mib });
    const held = Array.from({ length: 40 }, (_, n) => name(n + 3)).map((each) => holdsWhole(log, each));
    return held.flatMap((isHeld, n) => (isHeld || n > held.lastIndexOf(true) ? [] : [name(n + 3)]));
  },
};

for (const [who, missed] of Object.entries(lookers)) {
  test(`${who} takes a push under way for no gap, and one that stays for one`, async () => {
    const { repository, listings, put } = await archive();
    await put(3, 4, 6);
    const looking = missed(repository);
    while (listings() === 0) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 500));
    await put(5);
    assert.deepEqual(await looking, []);
    assert.equal(listings(), 2);
    await put(8);
    assert.deepEqual(await missed(repository), [name(7)]);
    assert.equal(listings(), 4);
  });

  test(`${who} waits for none that is old`, async () => {
    const { repository, listings, put } = await archive();
    await put(3, ...Array.from({ length: 18 }, (_, n) => n + 5));
    assert.deepEqual(await missed(repository), [name(4)]);
    assert.equal(listings(), 1);
  });
}

test('a hole is looked at again while a push may be under way, and believed after a quiet minute', async () => {
  const looked = async (ageMs: number, seen: string[]): Promise<{ result: string; times: number }> => {
    let times = 0;
    const result = await settled(
      async () => ({ seen: seen[times++] ?? '', newestMs: Date.now() - ageMs }),
      (each) => each === 'hole',
    );
    return { result, times };
  };
  assert.deepEqual(await looked(5000, ['hole', 'whole']), { result: 'whole', times: 2 });
  assert.deepEqual(
    await looked(-300_000, ['hole', 'hole']),
    { result: 'hole', times: 2 },
    'the storage has a clock of its own',
  );
  assert.deepEqual(await looked(90_000, ['hole']), { result: 'hole', times: 1 });
  assert.deepEqual(await looked(5000, ['whole']), { result: 'whole', times: 1 });
});
