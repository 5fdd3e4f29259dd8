/** Notes of what `wal push` archived along speak of one repository: another one in its place has none of it. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig, type LoadedConfig } from '../../../../src/config/load.ts';
import { walPush } from '../../../../src/operations/wal/push.ts';
import type { WalPushResult } from '../../../../src/operations/wal/request.ts';
import { acknowledge } from '../../../../src/operations/status/acknowledge.ts';
import { createRepository } from '../../../../src/repository/create.ts';
import { openLocalStorage } from '../../../../src/storage/local/local.ts';
import { quiet } from '../../../helpers/repository/cleanup-home.ts';
import { encryption, testRepository, type TestRepository } from '../../../helpers/repository/repository.ts';

const mib = 1024 * 1024;
const systemId = '7001';
const key = 'b2'.repeat(32);
const names = [1, 2, 3, 4].map((n) => `00000001000000000000000${n}`);

/** As PostgreSQL 15 begins it, and zeros behind it. */
function segment(number: number): Buffer {
  const body = Buffer.alloc(mib);
  body.writeUInt16LE(0xd110, 0);
  body.writeUInt16LE(2, 2);
  body.writeUInt32LE(1, 4);
  body.writeBigUInt64LE(BigInt(number) * BigInt(mib), 8);
  body.writeBigUInt64LE(BigInt(systemId), 24);
  body.writeUInt32LE(mib, 32);
  return body;
}

interface Host {
  readonly loaded: LoadedConfig;
  readonly notes: string;
  push(n: number): Promise<WalPushResult>;
}

/** A cluster with four segments that wait, and an empty repository; all of it in the home's folder. */
async function hostIn(home: TestRepository): Promise<Host> {
  const wal = join(home.folder, 'data/pg_wal');
  mkdirSync(join(wal, 'archive_status'), { recursive: true });
  for (const [n, name] of names.entries()) {
    writeFileSync(join(wal, name), segment(n + 1));
    writeFileSync(join(wal, 'archive_status', `${name}.ready`), '');
  }
  await home.create(encryption({ key }));
  const loaded = await loadConfig({
    cwd: home.folder,
    env: {},
    document: {
      repository: `file://${home.root}`,
      encryption: { key },
      stateDir: home.stateDir('a'),
      targets: { main: { files: { paths: [home.folder] } } },
    },
  });
  const cwd = join(home.folder, 'data');
  return {
    loaded,
    notes: join(home.stateDir('a'), 'wal/shipped', cwd),
    push: async (n) => walPush(loaded, { path: join(wal, names[n] ?? ''), cwd, acceptNewSystem: false }, quiet()),
  };
}

function stored(root: string): string[] {
  const all = existsSync(join(root, 'wal'))
    ? readdirSync(join(root, 'wal'), { recursive: true, encoding: 'utf8' })
    : [];
  return all.flatMap((each) => /([0-9A-F]{24})\.wal$/.exec(each)?.[1] ?? []).toSorted();
}

test('a repository that was made anew in the same place gets all that was noted for the one before', async () => {
  using home = testRepository();
  const { loaded, notes, push } = await hostIn(home);
  assert.deepEqual(await push(0), { name: names[0], outcome: 'stored', systemId, along: names.slice(1) });
  assert.deepEqual(readdirSync(notes).toSorted(), names.slice(1));
  assert.equal((await push(1)).outcome, 'shipped');
  renameSync(home.root, `${home.root}-away`);
  const storage = openLocalStorage(home.root, { create: true });
  // By somebody else: this host has not made it.
  const { repository } = await createRepository(storage, encryption({ key }), home.stateDir('b'));
  await assert.rejects(push(1), { code: 'integrity', message: /is another one/ });
  await acknowledge(
    loaded,
    { warning: `repository:${repository.repositoryId}`, reason: 'new disk', days: 30 },
    quiet(),
  );
  assert.equal(existsSync(notes), false, 'the archive_command itself finds none either');
  assert.equal((await push(1)).outcome, 'stored');
  assert.deepEqual(stored(home.root), names, 'all that waits, the first one too');
  await storage.close();
});

test('notes of another repository are passed over and cleared away, also where nothing is remembered', async () => {
  using home = testRepository();
  const { notes, push } = await hostIn(home);
  await push(0);
  const kept = new Map(readdirSync(notes).map((name) => [name, readFileSync(join(notes, name))]));
  renameSync(home.root, `${home.root}-away`);
  await home.create(encryption({ key }));
  rmSync(join(home.stateDir('a'), 'places'), { recursive: true });
  assert.equal((await push(2)).outcome, 'stored');
  const putBack = (change?: string): void => {
    for (const [name, note] of kept) writeFileSync(join(notes, name), change ?? note);
  };
  for (const change of [undefined, 'archived\n']) {
    putBack(change);
    assert.equal((await push(1)).outcome, 'present', 'it was compared with what is there');
  }
  rmSync(join(home.root, 'wal'), { recursive: true });
  putBack();
  assert.equal((await push(1)).outcome, 'stored');
  assert.deepEqual(stored(home.root), names);
});
