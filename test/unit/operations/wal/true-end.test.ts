/** Somebody who writes to the repository makes its log seem to reach further than it does. */
import assert from 'node:assert/strict';
import { copyFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../../../src/config/load.ts';
import { surveyWal } from '../../../../src/operations/status/survey-wal.ts';
import { walStatus } from '../../../../src/operations/wal/status.ts';
import { needWalName, walKey } from '../../../../src/repository/wal/names.ts';
import { putWal } from '../../../../src/repository/wal/archive.ts';
import { segmentName } from '../../../../src/source/postgres/wal/file-name.ts';
import { quiet } from '../../../helpers/repository/cleanup-home.ts';
import { encryption, testRepository } from '../../../helpers/repository/repository.ts';

const systemId = '7001';
const mib = 1024 * 1024;
const key = 'b2'.repeat(32);
const nameOf = (number: number): string => segmentName(1, BigInt(number), mib);
const keyOf = (number: number): string => walKey(systemId, needWalName(nameOf(number)));

test('what is planted behind the newest segment is told, and the log ends before it', async () => {
  using home = testRepository();
  const repository = await home.create(encryption({ key }));
  const options = { sealing: await repository.writeKey(), compression: { method: 'zstd', level: 1 } } as const;
  for (const number of [1, 2, 3]) {
    await putWal(repository, systemId, nameOf(number), Buffer.alloc(mib, number), options);
  }
  const loaded = await loadConfig({
    cwd: home.folder,
    env: {},
    document: {
      repository: { url: `file://${home.root}` },
      encryption: { key },
      stateDir: home.stateDir('a'),
      targets: { main: { files: { paths: [home.folder] } } },
    },
  });
  const long = new Date(Date.now() - 86_400_000);
  utimesSync(join(home.root, keyOf(3)), long, long);
  const look = async (): Promise<unknown> => {
    const [system] = (await walStatus(loaded, {}, quiet())).systems;
    const [surveyed] = await surveyWal(loaded, repository, [], quiet());
    assert.deepEqual(surveyed?.damaged, system?.damaged);
    return {
      last: system?.timelines[0]?.last,
      gaps: system?.gaps.length,
      archived: surveyed?.archived,
      damaged: system?.damaged.map(({ object }) => object),
    };
  };
  const end = { last: nameOf(3), gaps: 0, archived: { lsn: '0/400000', at: long.toISOString() } };
  assert.deepEqual(await look(), { ...end, damaged: [] });
  // A true one under a name that is not its own, and junk: as if the server were still archiving.
  copyFileSync(join(home.root, keyOf(2)), join(home.root, keyOf(4)));
  writeFileSync(join(home.root, keyOf(5)), Buffer.alloc(500_000, 'junk'));
  assert.deepEqual(await look(), { ...end, damaged: [keyOf(4), keyOf(5)] });
  // Where there are more of them than are looked into they are told all the same.
  for (let number = 6; number < 30; number++) copyFileSync(join(home.root, keyOf(5)), join(home.root, keyOf(number)));
  const { damaged } = (await look()) as { damaged: string[] };
  assert.equal(damaged.length, 16);
  await repository.storage.close();
});
