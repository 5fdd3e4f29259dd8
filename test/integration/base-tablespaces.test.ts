/**
 * A cluster with several tablespaces: backed up by way of a scratch folder, recovered into places of their own, the old
 * ones untouched.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { LifeboatError } from '../../src/lib/errors.ts';
import { processStart } from '../../src/lib/process-identity.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { backup } from '../../src/operations/backup/backup.ts';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import { readComponentFacts } from '../../src/operations/backup-facts.ts';
import { init } from '../../src/operations/setup/init.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
import { pitr } from '../../src/operations/pitr/pitr.ts';
import type { PitrRequest, PitrResult } from '../../src/operations/pitr/request.ts';
import { type BaseFacts, baseFacts } from '../../src/source/postgres/base/facts.ts';
import { spoolTablespaces } from '../../src/source/postgres/base/spool.ts';
import { withConnection } from '../../src/source/postgres/server/connection.ts';
import { serverFolder, startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { walShipper } from '../helpers/cluster/wal-shipper.ts';

const folder = mkdtempSync(join(tmpdir(), 'spaces-test-'));
const shipper = walShipper();
const context = { signal: new AbortController().signal, emit: () => {} };
const sums =
  "SELECT (SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM public.fast_rows t) AS fast, (SELECT " +
  "count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM public.slow_rows t) AS slow";
let server: TestPostgres;
let loaded: LoadedConfig;
/** Old places, by name. */
const old: Record<string, string> = {};

before(async () => {
  chmodSync(folder, 0o755);
  server = await startPostgres({
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=1', '--data-checksums'],
    settings: { archive_mode: 'on', archive_command: shipper.command, autovacuum: 'off' },
  });
  const [row] = await server.query('postgres', 'SELECT system_identifier AS id FROM pg_control_system()');
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
  await init(loaded, { configPath: undefined }, context);
  shipper.begin(loaded, row?.['id'] ?? '');
  for (const name of ['fast', 'slow']) await addTablespace(name);
  await server.psql(
    'postgres',
    `
    CREATE TABLE fast_rows TABLESPACE fast AS SELECT n, md5(n::text) AS v FROM generate_series(1, 20000) n;
    CREATE TABLE slow_rows TABLESPACE slow AS SELECT n, repeat(md5(n::text), 3) AS v FROM generate_series(1, 10000) n;
    CREATE INDEX ON fast_rows (v) TABLESPACE slow;
    CREATE TABLE plain_rows AS SELECT n FROM generate_series(1, 100) n;`,
  );
});

after(async () => {
  await server.stop();
  await shipper[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function addTablespace(name: string): Promise<void> {
  const place = serverFolder(server, `place-${name}`);
  old[name] = place;
  await server.query('postgres', `CREATE TABLESPACE ${name} LOCATION '${place}'`);
}

async function shipAll(): Promise<void> {
  const [row] = await server.query(
    'postgres',
    'SELECT pg_walfile_name(pg_current_wal_lsn()) AS name FROM pg_current_xact_id()',
  );
  await server.query('postgres', 'SELECT pg_switch_wal()');
  await shipper.shipped(row?.['name'] ?? '');
}

async function run(more: Partial<PitrRequest>): Promise<PitrResult> {
  return pitr(
    loaded,
    { to: 'latest', inclusive: true, action: 'promote', check: false, dryRun: false, ...more },
    context,
  );
}

async function end(pid: number): Promise<void> {
  const start = processStart(pid);
  process.kill(pid, 'SIGINT');
  while (start !== undefined && processStart(pid) === start) await sleep(20);
}

async function takeBase(): Promise<Extract<BackupResult, { outcome: 'done' }>> {
  const result = await backup(
    loaded,
    { components: ['base'], tags: [], ifRunning: { action: 'fail' }, dryRun: false },
    context,
  );
  assert.ok(result.outcome === 'done');
  return result;
}

async function recorded(id: string): Promise<{ facts: BaseFacts; artifacts: string[] | undefined }> {
  return withRepository(loaded, context, async (repository) => {
    const { backup: listed } = await repository.resolve(id);
    assert.ok(listed.manifest);
    return {
      facts: baseFacts.parse((await readComponentFacts(repository, listed.manifest)).get('base')),
      artifacts: listed.manifest.components[0]?.artifacts.map(({ name }) => name),
    };
  });
}

/** Contents and times of all files below a folder. */
function traceOf(path: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(path, { recursive: true, encoding: 'utf8' }).toSorted()) {
    const found = statSync(join(path, name));
    hash.update(`${name} ${found.mtimeMs} `).update(found.isFile() ? readFileSync(join(path, name)) : '');
  }
  return hash.digest('hex');
}

test('tables in two tablespaces come back in other places, row by row; nothing touches the old ones', async () => {
  const result = await takeBase();
  assert.deepEqual(
    readdirSync(tmpdir()).filter(
      (name) => name.startsWith('lifeboat-') && existsSync(join(tmpdir(), name, 'base.tar')),
    ),
    [],
  );
  const { facts, artifacts } = await recorded(result.id);
  assert.deepEqual(
    facts.tablespaces.map(({ name, path }) => [name, path]),
    Object.entries(old),
  );
  assert.ok(
    facts.tablespaces.every(({ bytes }) => bytes > 500_000),
    JSON.stringify(facts.tablespaces),
  );
  assert.deepEqual(artifacts, [
    'base.tar',
    ...facts.tablespaces.map(({ oid }) => `tablespace-${oid}.tar`),
    'backup_manifest',
    'configuration.json',
  ]);

  await server.psql(
    'postgres',
    "INSERT INTO fast_rows SELECT n, 'later' FROM generate_series(1, 500) n; UPDATE slow_rows SET v = 'changed' " +
      'WHERE n % 10 = 0;',
  );
  const [expected] = await server.query('postgres', sums);
  await server.query('postgres', 'CHECKPOINT');
  await shipAll();
  const before = Object.values(old).map(traceOf);
  const dataDir = join(folder, 'recovered');
  const mapped = join(folder, 'mapped/deeper');
  const recovered = await run({ dataDir, tablespaceMap: { [old['slow'] ?? '']: mapped } });
  assert.ok(recovered.outcome === 'done' && recovered.url !== undefined && recovered.pid !== undefined);
  const url = parsePostgresUrl(recovered.url);
  try {
    const found = await withConnection(url, {}, async (connection) => ({
      sums: await connection.query(sums),
      places: await connection.query(
        "SELECT spcname AS name, pg_tablespace_location(oid) AS path FROM pg_tablespace WHERE spcname IN ('fast', " +
          "'slow') ORDER BY 1",
      ),
      // By way of the index in the other tablespace.
      indexed: await connection.query(
        "SET enable_seqscan = off; SELECT count(*) AS n FROM public.fast_rows WHERE v = 'later'",
      ),
    }));
    assert.deepEqual(found.sums, [expected]);
    assert.deepEqual(found.places, [
      { name: 'fast', path: join(`${dataDir}-tablespaces`, facts.tablespaces[0]?.oid ?? '') },
      { name: 'slow', path: mapped },
    ]);
    assert.equal(found.indexed[0]?.['n'], '500');
    await withConnection(url, {}, async (connection) => connection.query('UPDATE public.fast_rows SET v = v'));
  } finally {
    await end(recovered.pid);
    rmSync(parsePostgresUrl(url).host, { recursive: true, force: true });
  }
  const links = readdirSync(join(dataDir, 'pg_tblspc')).map((name) => readlinkSync(join(dataDir, 'pg_tblspc', name)));
  assert.deepEqual(
    links.filter((link) => Object.values(old).includes(link)),
    [],
  );
  assert.equal(links.length, 2);
  assert.deepEqual(Object.values(old).map(traceOf), before, 'the original was touched');
});

test('places that would do harm are refused before anything is written', async () => {
  const dataDir = join(folder, 'refused');
  const refused = async (tablespaceMap: Record<string, string>, message: RegExp): Promise<void> => {
    await assert.rejects(
      run({ dataDir, tablespaceMap }),
      (error) =>
        error instanceof LifeboatError &&
        error.code === 'usage' &&
        message.test(`${error.message}; ${error.hint ?? ''}`),
    );
    assert.deepEqual(
      [dataDir, `${dataDir}-tablespaces`].filter((path) => existsSync(path)),
      [],
    );
  };
  await refused({ fast: old['fast'] ?? '' }, /place-fast: it is not empty/);
  await refused({ other: join(folder, 'x') }, /no tablespace other.*fast \(/);
  await refused({ fast: join(dataDir, 'inside') }, /the data directory goes to/);
  await refused({ fast: join(folder, 'x'), slow: join(folder, 'x/y') }, /tablespace fast goes to/);
  const planned = await run({ dataDir, dryRun: true });
  assert.ok(planned.outcome === 'planned');
  assert.deepEqual(
    planned.tablespaces.map(({ name, from, to }) => [name, from, to?.startsWith(`${dataDir}-tablespaces/`)]),
    Object.entries(old).map(([name, from]) => [name, from, true]),
  );
});

test('a recovery that fails leaves no folder of a tablespace', async () => {
  const dataDir = join(folder, 'failing');
  const objects = join(folder, 'repository/packs');
  const away = `${objects}-away`;
  renameSync(objects, away);
  try {
    await assert.rejects(run({ dataDir }), LifeboatError);
  } finally {
    renameSync(away, objects);
  }
  assert.deepEqual(
    [dataDir, `${dataDir}-tablespaces`].filter((path) => existsSync(path)),
    [],
  );
});

test('without room for the scratch folder nothing is read', async () => {
  const options = {
    tablespaces: [{ oid: '16384', name: 'fast', path: '/x' }],
    expectedBytes: 2 ** 60,
    scratchDir: folder,
    hangTimeoutMs: 1000,
    onSizes: () => {},
  };
  const spool = spoolTablespaces({ ...options, run: async () => Promise.reject(new Error('it ran')) }, context);
  await assert.rejects(
    spool.next(),
    (error) => error instanceof LifeboatError && error.code === 'space' && /TMPDIR/.test(error.hint ?? ''),
  );
});

test('log that creates a tablespace in a folder that is in use is not replayed', async () => {
  await addTablespace('late');
  await server.query(
    'postgres',
    'CREATE TABLE late_rows TABLESPACE late AS SELECT n FROM generate_series(1, 1000) n; CHECKPOINT',
  );
  await shipAll();
  const before = traceOf(old['late'] ?? '');
  const dataDir = join(folder, 'late');
  await assert.rejects(
    run({ dataDir }),
    (error) => error instanceof LifeboatError && error.message.includes(`a tablespace is created in ${old['late']}`),
  );
  assert.equal(traceOf(old['late'] ?? ''), before, 'the original was touched');
  assert.equal(existsSync(dataDir), false);
});

test('a damaged page in a tablespace is named; all tars and the list of files are there', async () => {
  const [row] = await server.query('postgres', "CHECKPOINT; SELECT pg_relation_filepath('slow_rows') AS path");
  const path = row?.['path'] ?? '';
  const file = openSync(join(server.dataDir, path), 'r+');
  writeSync(file, Buffer.from('damage'), 0, 6, 8192 * 3 + 5000);
  closeSync(file);
  const result = await takeBase();
  assert.equal(result.components[0]?.flaws, 1);
  const { facts, artifacts } = await recorded(result.id);
  const [page] = facts.damagedPages?.named ?? [];
  assert.equal(page?.block, 3);
  // By way of the link, or where it leads.
  assert.ok(page.file.endsWith(path.replace(/^pg_tblspc\/\d+/, '')), page.file);
  // Beside the tars: the list of files, and the server's configuration.
  assert.equal(artifacts?.length, 1 + facts.tablespaces.length + 2);
});
