/** Where a recovery and an export may not go: refused before a byte is written, with nothing changed. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import { runTool } from '../../src/lib/exec.ts';
import { exportBackup } from '../../src/operations/restore/export.ts';
import { quiet, startPitrCluster, type PitrCluster } from '../helpers/cluster/pitr-cluster.ts';

let cluster: PitrCluster;
let baseId: string;
const program = new URL('../../bin/lifeboat.js', import.meta.url).pathname;

before(async () => {
  cluster = await startPitrCluster();
  baseId = await cluster.base();
  await cluster.archived();
});
after(async () => cluster?.[Symbol.asyncDispose]());

const refuses = async (work: () => Promise<unknown>, why: RegExp): Promise<void> =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof LifeboatError, String(error));
    assert.equal(error.code, 'usage', error.message);
    assert.match(error.message, why);
    return true;
  });

test('inside the repository, by whatever path', async () => {
  const root = join(cluster.home, 'repository');
  const link = join(cluster.home, 'link');
  symlinkSync(root, link);
  // Each run is in the audit log, a refused one too.
  const held = (): string[] =>
    readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((each) => !each.startsWith('audit'));
  const before = held();
  for (const dataDir of [join(root, 'data'), join(root, 'wal', 'deep', 'data'), join(link, 'data')]) {
    await refuses(async () => cluster.run('latest', { dataDir, action: 'shutdown' }), /inside the repository/);
    await refuses(
      async () => cluster.run('latest', { dataDir, action: 'shutdown', dryRun: true }),
      /inside the repository/,
    );
  }
  await refuses(
    async () => exportBackup(cluster.loaded, { id: baseId, folder: join(root, 'x'), only: [], force: false }, quiet),
    /cannot export to .*inside the repository/,
  );
  assert.deepEqual(held(), before);
});

test('inside the state folder, and inside what a server owns', async () => {
  const { stateDir } = cluster.loaded.config;
  const { dataDir: live } = cluster.server;
  await refuses(
    async () => cluster.run('latest', { dataDir: join(stateDir, 'data'), action: 'shutdown' }),
    /inside the state folder/,
  );
  for (const dataDir of [join(live, 'new'), join(live, 'base', 'new')]) {
    await refuses(
      async () => cluster.run('latest', { dataDir, action: 'shutdown' }),
      /data directory of a server that runs/,
    );
    assert.equal(existsSync(dataDir), false);
  }
  const tablespace = join(cluster.home, 'space', 'PG_15_202209061');
  mkdirSync(tablespace, { recursive: true });
  await refuses(
    async () => cluster.run('latest', { dataDir: join(tablespace, 'data'), action: 'shutdown' }),
    /a tablespace of PostgreSQL/,
  );
});

test('an empty folder of root, for another user', async () => {
  const { home, owner, config } = cluster;
  const folder = join(home, 'of-root');
  mkdirSync(folder);
  chmodSync(folder, 0o755);
  const { stderr } = await runTool({
    file: program,
    args: ['pitr', '--to', 'latest', '--data-dir', folder, '--config', config],
    ...owner,
    cwd: home,
    okExitCodes: [2],
  });
  assert.match(stderr, /it belongs to user 0/);
  assert.equal(statSync(folder).uid, 0);
});

test('a TMPDIR that is not there, or that nobody can write to, is named', async () => {
  const before = process.env['TMPDIR'];
  try {
    for (const folder of ['/nonexistent', '/proc/self']) {
      process.env['TMPDIR'] = folder;
      await refuses(
        async () => cluster.run('latest', { dataDir: join(cluster.home, 'new'), action: 'shutdown' }),
        new RegExp(folder),
      );
    }
  } finally {
    process.env['TMPDIR'] = before;
  }
  assert.equal(existsSync(join(cluster.home, 'new')), false);
});
