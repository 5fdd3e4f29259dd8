/**
 * Base backups of a real cluster: what is stored is what pg_basebackup wrote, its WAL is there, and a second one stores
 * little.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { LifeboatError } from '../../src/lib/errors.ts';
import type { LifeboatEvent } from '../../src/lib/events.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { backup } from '../../src/operations/backup/backup.ts';
import { requireWal } from '../../src/operations/backup/base-wal.ts';
import { exportBackup } from '../../src/operations/restore/export.ts';
import { chooseBackup } from '../../src/operations/choose-backup.ts';
import { init } from '../../src/operations/setup/init.ts';
import { readComponentFacts } from '../../src/operations/backup-facts.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import { readWal } from '../../src/repository/wal/archive.ts';
import { baseFacts } from '../../src/source/postgres/base/facts.ts';
import { checkManifest, type RestoredFile } from '../../src/source/postgres/base/manifest.ts';
import { baseSource } from '../../src/source/postgres/base/source.ts';
import { segmentAt } from '../../src/source/postgres/wal/file-name.ts';
import { parseLsn } from '../../src/source/postgres/wal/lsn.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { walShipper } from '../helpers/cluster/wal-shipper.ts';

const folder = mkdtempSync(join(tmpdir(), 'base-test-'));
const shipper = walShipper();
const context = { signal: new AbortController().signal, emit: () => {} };
let server: TestPostgres;
let loaded: LoadedConfig;
let systemId: string;

before(async () => {
  server = await startPostgres({
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=1', '--data-checksums'],
    settings: {
      archive_mode: 'on',
      archive_command: shipper.command,
      autovacuum: 'off',
      max_prepared_transactions: '7',
    },
  });
  systemId =
    (await server.query('postgres', 'SELECT system_identifier AS id FROM pg_control_system()'))[0]?.['id'] ?? '';
  const document = {
    repository: `file://${folder}/repository`,
    targets: { main: { postgres: { url: server.url(), databases: ['postgres'], base: {} } } },
  };
  loaded = await loadConfig({
    cwd: folder,
    env: { BACKUP_STATE_DIR: join(folder, 'state'), BACKUP_ENCRYPTION_KEY: 'ab'.repeat(32) },
    document,
    need: { repository: true, encryption: true, targets: 'all' },
  });
});

after(async () => {
  await server.stop();
  await shipper[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function takeBase(): Promise<Extract<BackupResult, { outcome: 'done' }>> {
  const result = await backup(
    loaded,
    { components: ['base'], tags: [], ifRunning: { action: 'fail' }, dryRun: false },
    context,
  );
  assert.ok(result.outcome === 'done');
  return result;
}

test('without WAL in the repository a base backup is refused, with the line to set', async () => {
  await init(loaded, { configPath: undefined }, context);
  await withRepository(loaded, context, async (repository) => {
    await assert.rejects(
      requireWal(repository, systemId, async () => {}, context, 1),
      (error) => error instanceof LifeboatError && error.code === 'source' && /archive_command/.test(error.hint ?? ''),
    );
  });
});

test('what is stored is what pg_basebackup wrote, and all its WAL opens; a second one stores little', async () => {
  shipper.begin(loaded, systemId);
  await server.query('postgres', 'CREATE TABLE t AS SELECT n, md5(n::text) AS v FROM generate_series(1, 100000) n');
  // So that no page is written anew only because somebody has read it.
  await server.query('postgres', 'VACUUM (FREEZE)');
  const first = await takeBase();
  const facts = await withRepository(loaded, context, async (repository) => {
    const { backup: listed } = await repository.resolve(first.id);
    assert.ok(listed.manifest);
    const found = baseFacts.parse((await readComponentFacts(repository, listed.manifest)).get('base'));
    assert.equal(
      (await readWal(repository, systemId, segmentAt(1, parseLsn(found.startLsn), 1024 * 1024))).length,
      1024 * 1024,
    );
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

test('a backup with a damaged page is recorded, marked, and never the latest', async () => {
  const path = await damage('bad', 2);
  const whole = await withRepository(
    loaded,
    context,
    async (repository) => (await chooseBackup(repository, latest, () => {})).manifest.id,
  );
  const { id, warnings, components } = await takeBase();
  assert.match(warnings.join(), new RegExp(`1 page of the cluster is damaged: ${path} block 2;`));
  assert.equal(components[0]?.flaws, 1);
  await withRepository(loaded, context, async (repository) => {
    const said: string[] = [];
    const emit = (event: LifeboatEvent): unknown => event.type === 'warning' && said.push(event.message);
    assert.equal((await chooseBackup(repository, latest, emit)).manifest.id, whole);
    assert.deepEqual(said, [`newer backup ${id} does not count: 1 damaged page of its cluster is in it`]);
    const { manifest } = await chooseBackup(repository, { id }, emit);
    assert.deepEqual(said.slice(1), [`backup ${id} is of a damaged source: 1 damaged page of its cluster is in it`]);
    const { damagedPages } = baseFacts.parse((await readComponentFacts(repository, manifest)).get('base'));
    assert.deepEqual(damagedPages, { count: 1, named: [{ file: path, block: 2 }] });
  });
  await server.query('postgres', 'DROP TABLE bad');
});

const latest = { id: 'latest' };

/** Overwrites something in blocks of a new table; its file in the data directory. */
async function damage(table: string, ...blocks: number[]): Promise<string> {
  const [row] = await server.query(
    'postgres',
    `CREATE TABLE ${table} AS SELECT n FROM generate_series(1, 5000) n; ` +
      `CHECKPOINT; SELECT pg_relation_filepath('${table}') AS path`,
  );
  const path = row?.['path'] ?? '';
  const file = openSync(join(server.dataDir, path), 'r+');
  for (const block of blocks) writeSync(file, Buffer.from('damage'), 0, 6, 8192 * block + 5000);
  closeSync(file);
  return path;
}

test("what is restored is held against PostgreSQL's own list, file by file", async () => {
  const data = join(folder, 'data');
  const list = join(data, 'backup_manifest');
  const files = (): Map<string, RestoredFile> => {
    const found = new Map<string, RestoredFile>();
    for (const entry of readdirSync(data, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || entry.name === 'backup_manifest') continue;
      const content = readFileSync(join(entry.parentPath, entry.name));
      found.set(join(entry.parentPath, entry.name).slice(data.length + 1), {
        bytes: content.length,
        sha256: createHash('sha256').update(content).digest('hex'),
      });
    }
    return found;
  };
  const differing = async (change: (found: Map<string, RestoredFile>) => void): Promise<string> => {
    const found = files();
    change(found);
    let message = '';
    await assert.rejects(
      checkManifest(list, found),
      (error) => error instanceof LifeboatError && error.code === 'integrity' && (message = error.message) !== '',
    );
    return message;
  };
  await checkManifest(list, files());
  assert.match(await differing((found) => found.delete('PG_VERSION')), /PG_VERSION is missing/);
  assert.match(
    await differing((found) => found.set('base/stray', { bytes: 0, sha256: '' })),
    /base\/stray is not listed/,
  );
  assert.match(
    await differing((found) => found.set('PG_VERSION', { bytes: 2, sha256: '' })),
    /PG_VERSION has 2 bytes, not 3/,
  );
  assert.match(
    await differing((found) => found.set('PG_VERSION', { bytes: 3, sha256: 'ff' })),
    /PG_VERSION has another content/,
  );
  const text = readFileSync(list, 'utf8');
  writeFileSync(list, text.replace('"Last-Modified": "2', '"Last-Modified": "1'));
  assert.match(await differing(() => {}), /backup_manifest itself is damaged/);
});

for (const [name, setting] of [
  ['in its own words', undefined],
  ['without a word (client_min_messages)', 'client_min_messages = error'],
] as const) {
  test(`a server that does not archive, ${name}: archiver and segment are named, and there is an end`, async () => {
    if (setting !== undefined) await server.query('postgres', `ALTER SYSTEM SET ${setting}`);
    await notArchiving();
    if (setting !== undefined) await server.query('postgres', 'ALTER SYSTEM RESET client_min_messages');
  });
}

test('a run that would be called hung sooner says why no byte comes', async () => {
  const silent = { ...loaded, config: { ...loaded.config, hangTimeoutMs: 16_000 } };
  await server.query('postgres', "ALTER SYSTEM SET archive_command = 'false'");
  await server.query('postgres', 'SELECT pg_reload_conf()');
  try {
    const request = { components: ['base'], tags: [], ifRunning: { action: 'fail' }, dryRun: false } as const;
    await assert.rejects(
      async () => backup(silent, request, context),
      /its archiver fails for [0-9A-F]{24} \(\d+ failures?, last at 20/,
    );
  } finally {
    await server.query('postgres', 'ALTER SYSTEM RESET archive_command');
    await server.query('postgres', 'SELECT pg_reload_conf()');
  }
});

async function notArchiving(): Promise<void> {
  await server.query('postgres', "ALTER SYSTEM SET archive_command = 'false'");
  await server.query('postgres', 'SELECT pg_reload_conf()');
  const warnings: string[] = [];
  const emit = (event: LifeboatEvent): void => {
    if (event.type === 'warning') warnings.push(event.message);
  };
  try {
    const source = baseSource({
      url: parsePostgresUrl(server.url()),
      scratchDir: folder,
      hangTimeoutMs: 60_000,
      archiveTimeoutMs: 4000,
      archiverCheckMs: 300,
    });
    for await (const { body } of source.dump({ ...context, emit })) {
      // The configuration comes behind it.
      if (body.from !== 'tool') continue;
      const nowhere = openSync('/dev/null', 'w');
      const { done } = await body.run(nowhere, context.signal);
      closeSync(nowhere);
      await assert.rejects(
        done,
        (error) =>
          error instanceof LifeboatError &&
          error.code === 'source' &&
          /not archived the WAL .* within 4 s: its archiver fails for [0-9A-F]{24}/.test(error.message),
      );
      assert.match(warnings.join('\n'), /its archiver fails for [0-9A-F]{24} \(\d+ failures?, last at 20/);
      assert.equal(warnings.length, 1);
    }
  } finally {
    await server.query('postgres', 'ALTER SYSTEM RESET archive_command');
    await server.query('postgres', 'SELECT pg_reload_conf()');
  }
}
