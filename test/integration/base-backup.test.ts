/** Base backups of a real cluster: what is stored is what pg_basebackup wrote, its WAL is there, and a second one stores little. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { LifeboatError } from '../../src/lib/errors.ts';
import { backup } from '../../src/operations/backup.ts';
import { requireWal } from '../../src/operations/base-complete.ts';
import { exportBackup } from '../../src/operations/export.ts';
import { init } from '../../src/operations/init.ts';
import { readComponentFacts } from '../../src/operations/facts-document.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
import type { BackupResult } from '../../src/operations/requests.ts';
import { readWal } from '../../src/repository/wal-archive.ts';
import { baseFacts } from '../../src/source/postgres/base-facts.ts';
import { startPostgres, serverFolder, type TestPostgres } from '../helpers/postgres.ts';
import { walShipper } from '../helpers/wal-shipper.ts';

const folder = mkdtempSync(join(tmpdir(), 'base-test-'));
const shipper = walShipper();
const context = { signal: new AbortController().signal, emit: () => {} };
let server: TestPostgres;
let loaded: LoadedConfig;
let systemId: string;

before(async () => {
  server = await startPostgres({ initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=1', '--data-checksums'], settings: { archive_mode: 'on', archive_command: shipper.command, autovacuum: 'off', max_prepared_transactions: '7' } });
  systemId = (await server.query('postgres', 'SELECT system_identifier AS id FROM pg_control_system()'))[0]?.['id'] ?? '';
  const document = { repository: `file://${folder}/repository`, targets: { main: { postgres: { url: server.url(), databases: ['postgres'], base: {} } } } };
  loaded = await loadConfig({ cwd: folder, env: { BACKUP_STATE_DIR: join(folder, 'state'), BACKUP_ENCRYPTION_KEY: 'ab'.repeat(32) }, document, need: { repository: true, encryption: true, targets: 'all' } });
});

after(async () => {
  await server.stop();
  await shipper[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function takeBase(): Promise<Extract<BackupResult, { outcome: 'done' }>> {
  const result = await backup(loaded, { components: ['base'], tags: [], ifRunning: { action: 'fail' }, dryRun: false }, context);
  assert.ok(result.outcome === 'done');
  return result;
}

test('without WAL in the repository a base backup is refused, with the line to set', async () => {
  await init(loaded, { configPath: undefined }, context);
  await withRepository(loaded, context, async (repository) => {
    await assert.rejects(requireWal(repository, systemId, async () => {}, context, 1), (error) => error instanceof LifeboatError && error.code === 'source' && /archive_command/.test(error.hint ?? ''));
  });
});

test('what is stored is the cluster as pg_basebackup wrote it, and all its WAL opens; a second one stores little', async () => {
  shipper.begin(loaded, systemId);
  await server.query('postgres', "CREATE TABLE t AS SELECT n, md5(n::text) AS v FROM generate_series(1, 100000) n");
  // So that no page is written anew only because somebody has read it.
  await server.query('postgres', 'VACUUM (FREEZE)');
  const first = await takeBase();
  const facts = await withRepository(loaded, context, async (repository) => {
    const { backup: listed } = await repository.resolve(first.id);
    assert.ok(listed.manifest);
    const found = baseFacts.parse((await readComponentFacts(repository, listed.manifest)).get('base'));
    assert.equal((await readWal(repository, systemId, `00000001${'0'.repeat(8)}${(Number.parseInt(found.startLsn.split('/')[1] ?? '', 16) >> 20).toString(16).toUpperCase().padStart(8, '0')}`)).length, 1024 * 1024);
    return found;
  });
  assert.equal(facts.systemIdentifier, systemId);
  assert.equal(facts.walSegmentBytes, 1024 * 1024);
  assert.equal(facts.minima['max_prepared_transactions'], '7');
  assert.equal(facts.dataChecksums, true);
  assert.ok(facts.startedAt < facts.stoppedAt && facts.stopLsn !== facts.startLsn);
  const out = join(folder, 'out');
  const { files } = await exportBackup(loaded, { id: first.id, folder: out, only: [], force: false }, context);
  const tar = files.find(({ path }) => path.endsWith('base.tar'));
  assert.ok(tar);
  mkdirSync(join(folder, 'data'));
  execFileSync('tar', ['-xf', join(out, tar.path), '-C', join(folder, 'data')]);
  execFileSync(join(server.binDir, 'pg_verifybackup'), ['--no-parse-wal', join(folder, 'data')]);

  await server.query('postgres', 'UPDATE t SET v = v WHERE n = 5');
  const second = await takeBase();
  const { newBytes = 0, readBytes = 0 } = second.components[0] ?? {};
  assert.ok(readBytes > 0);
  assert.equal(second.previousId, first.id);
  assert.ok(newBytes < readBytes / 4, `${newBytes} of ${readBytes} bytes were new`);
});

test('damaged pages are named and no backup is recorded', async () => {
  const [row] = await server.query('postgres', "CREATE TABLE bad AS SELECT n FROM generate_series(1, 5000) n; CHECKPOINT; SELECT pg_relation_filepath('bad') AS path");
  const file = openSync(join(server.dataDir, row?.['path'] ?? ''), 'r+');
  writeSync(file, Buffer.from('damage'), 0, 6, 8192 * 2 + 5000);
  closeSync(file);
  const recorded = (): string[] => readdirSync(join(folder, 'repository/manifests'));
  const before = recorded();
  await assert.rejects(takeBase(), (error) => error instanceof LifeboatError && error.code === 'source' && error.message.includes(row?.['path'] ?? '?') && /block 2/.test(error.message));
  assert.deepEqual(recorded(), before);
  await server.query('postgres', 'DROP TABLE bad');
});

test('a cluster with tablespaces is refused before anything is read', async () => {
  const place = serverFolder(server, 'space');
  await server.query('postgres', `CREATE TABLESPACE other LOCATION '${place}'`);
  await assert.rejects(takeBase(), (error) => error instanceof LifeboatError && /tablespaces.*other/.test(error.message));
});
