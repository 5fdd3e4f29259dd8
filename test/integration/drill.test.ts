/**
 * Drills: backups restored into throwaway servers and compared. What a dump alone does not show is found; a
 * good backup is proven; and the machine is left as it was, also by a drill that is killed.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { chooseIsolation } from '../../src/lib/isolation.ts';
import { DrillRecord } from '../../src/operations/drill/subject.ts';
import { drillDatabase } from '../../src/operations/drill/database.ts';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import type { ListResult, ShowResult } from '../../src/operations/list/request.ts';
import { startScratchCluster } from '../../src/source/postgres/cluster/scratch-cluster.ts';
import { findScratchPlace } from '../../src/source/postgres/cluster/scratch-place.ts';
import { withConnection } from '../../src/source/postgres/server/connection.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { makeBench, namesBelow, toolsOf, type Bench } from '../helpers/cli/command-run.ts';
import { makeSampleTree } from '../helpers/source/file-tree.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { collectingContext, fillSample, startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import { createSampleDatabase } from '../helpers/source/sample-database.ts';
import type { DrillResult } from '../../src/operations/drill/request.ts';

let postgres: TestPostgres;
let scratch: TestPostgres;
let redis: TestRedis;
let bench: Bench;
let goodId: string;

before(async () => {
  [postgres, scratch, redis] = await Promise.all([startPostgres(), startPostgres(), startRedis()]);
  await createSampleDatabase(postgres, 'sample', { sizeBytes: 3_000_000 });
  await postgres.psql('postgres', 'CREATE DATABASE lossy');
  await postgres.psql(
    'lossy',
    `CREATE SCHEMA rules; CREATE FUNCTION rules.good(i int) RETURNS bool LANGUAGE sql AS 'SELECT i > 0';
    SET search_path = public, rules;
    CREATE FUNCTION public.chk(i int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN good(i); END';
    CREATE TABLE lost (a int CHECK (chk(a))); INSERT INTO lost SELECT generate_series(1, 10);
    CREATE TABLE kept (a int); INSERT INTO kept VALUES (1)`,
  );
  await fillSample(redis);
  bench = makeBench({ DATABASE_URL: postgres.url('sample'), REDIS_URL: redis.url(), BACKUP_TARGET: 'good' });
  // The throwaway server's user must get there: then everything lies where nothingLeft() looks.
  chmodSync(bench.folder, 0o755);
  chmodSync(bench.tmp, 0o1777);
  const files = join(bench.folder, 'files');
  mkdirSync(files);
  makeSampleTree(join(files, 'tree'));
  bench.env = { ...bench.env, BACKUP_FILES: files };
  await bench.json('init');
  goodId = (await bench.backup()).id;
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([postgres?.stop(), scratch?.stop(), redis?.stop()]);
});

/**
 * Shared memory segments outlive a killed server: those that nobody has attached (others on this machine have theirs).
 */
function sharedMemory(): string[] {
  const rows = execFileSync('ipcs', ['-m'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.startsWith('0x'))
    .map((line) => line.split(/\s+/));
  return rows.filter((row) => row[5] === '0').map((row) => row[1] ?? '');
}

test('a good backup is proven: everything compared, evidence kept, nothing left', async () => {
  const { backups, warnings } = documents.drill.parse(await bench.json('integrity --drill'));
  assert.deepEqual(warnings, []);
  const [drilled, ...others] = backups;
  assert.ok(drilled !== undefined && others.length === 0);
  assert.equal(drilled.id, goodId);
  assert.equal(drilled.result, 'proven');
  assert.deepEqual(
    drilled.components.map(({ name, result, problems }) => ({ name, result, problems })),
    ['database', 'redis', 'files'].map((name) => ({ name, result: 'equal', problems: [] })),
  );
  const [database, keys, files] = drilled.components;
  const { components } = await bench.json<ShowResult>(`show ${goodId}`);
  const recorded =
    (components[0]?.facts as { databases: { tables: unknown[] }[] } | undefined)?.databases[0]?.tables.length ?? 0;
  assert.equal(database?.counts['tables'], recorded);
  assert.ok(recorded > 60);
  assert.ok((database?.counts['rows'] ?? 0) > 1000 && (database?.counts['fingerprints'] ?? 0) > 60);
  assert.ok(
    keys?.counts['keys'] !== undefined &&
      keys.counts['keys'] > 0 &&
      (keys.counts['keysSampled'] ?? 0) > 0 &&
      (keys.counts['functions'] ?? 0) > 0,
  );
  assert.ok((files?.counts['files'] ?? 0) > 0 && files?.counts['entries'] !== undefined);
  assert.ok(drilled.restoreMs > 0 && drilled.restoreMs < drilled.durationMs);
  for (const step of ['start a server', 'restore roles', 'restore data', 'compare', 'amcheck']) {
    assert.ok(
      database?.steps.some(({ name }) => name === step),
      step,
    );
  }
  await bench.nothingLeft();

  const { backups: listed } = await bench.json<ListResult>('list');
  assert.equal(listed[0]?.standing?.state, 'proven');
  const { evidence } = await bench.json<ShowResult>(`show ${goodId}`);
  const kept = evidence.find(({ level }) => level === 'drill');
  assert.equal(kept?.object, drilled.evidence);
  assert.equal(kept?.result, 'ok');
  assert.ok((kept?.compared?.length ?? 0) >= 8 && (kept?.steps?.length ?? 0) >= 10 && (kept?.bytes ?? 0) > 1_000_000);
  const { id } = await bench.json<ShowResult>('show latest:proven').then(({ backup }) => backup);
  assert.equal(id, goodId);
});

test('a table that only a restore loses is found and named; the evidence says failed, without its name', async () => {
  const env = {
    DATABASE_URL: postgres.url('lossy'),
    BACKUP_TARGET: 'lossy',
    REDIS_URL: undefined,
    BACKUP_FILES: undefined,
  };
  // The backup warns of it.
  const taken = await bench.json<BackupResult>('backup', { env, exitCode: 3 });
  assert.ok(taken.outcome === 'done');
  assert.match(taken.warnings.join('\n'), /table public\.lost cannot be restored as it is/);
  const { id } = taken;
  const { backups } = await bench.json<DrillResult>(`integrity --drill ${id}`, { env, exitCode: 14 });
  assert.equal(backups[0]?.result, 'failed');
  assert.match(backups[0]?.components[0]?.problems.join('\n') ?? '', /lost/);
  const text = await bench.run(`integrity --drill ${id}`, { env });
  assert.equal(text.exitCode, 14);
  assert.match(text.stdout, /database: FAILED[\s\S]*lost[\s\S]*does NOT restore/);
  const { evidence, backup } = await bench.json<ShowResult>(`show ${id}`, { env });
  assert.ok(evidence.length > 0 && evidence.every(({ level, result }) => level === 'drill' && result === 'failed'));
  assert.equal(backup.standing?.failing, true);
  assert.doesNotMatch(readFileSync(join(bench.repository, evidence[0]?.object ?? ''), 'utf8'), /lost/);
  await bench.nothingLeft();
});

test('a damaged chunk fails the drill of what needs it, and only that', async () => {
  const folder = join(bench.folder, 'few');
  mkdirSync(folder);
  writeFileSync(join(folder, 'a'), 'something');
  const repository = join(bench.folder, 'damaged');
  const env = {
    BACKUP_REPOSITORY: `file://${repository}`,
    BACKUP_TARGET: 'few',
    BACKUP_FILES: folder,
    DATABASE_URL: undefined,
  };
  await bench.json('init', { env });
  const { id } = await bench.backup('backup', { env });
  const [pack] = namesBelow(join(repository, 'packs'));
  const path = join(repository, 'packs', pack ?? '');
  const bytes = readFileSync(path);
  for (let at = 64; at < bytes.length - 24; at += 16) bytes[at] = (bytes[at] ?? 0) ^ 1;
  chmodSync(path, 0o600);
  writeFileSync(path, bytes);
  const { backups } = await bench.json<DrillResult>('integrity --drill', { env, exitCode: 14 });
  assert.deepEqual(
    backups.map((each) => [each.id, each.result]),
    [[id, 'failed']],
  );
  assert.ok(backups[0]?.components.every(({ result, code }) => result === 'failed' && code === 'integrity'));
  const { evidence } = await bench.json<ShowResult>(`show ${id}`, { env });
  assert.deepEqual(
    evidence.map(({ level, result, damaged }) => [level, result, damaged?.[0]?.object]),
    [['drill', 'failed', `packs/${pack}`]],
  );
  await bench.nothingLeft();
});

describe('a drill that is ended', () => {
  const drilling = async () => {
    const command = await bench.start('integrity --drill latest --target good');
    await command.said(/restoring database sample/);
    return command;
  };

  test('by SIGTERM leaves nothing', async () => {
    const before = sharedMemory();
    const command = await drilling();
    command.kill('SIGTERM');
    assert.equal((await command.result).exitCode, 143);
    await bench.nothingLeft();
    assert.deepEqual(
      sharedMemory().filter((id) => !before.includes(id)),
      [],
    );
  });

  test('by SIGKILL leaves no process, and a folder, which the next run takes away', async () => {
    const before = sharedMemory();
    const command = await drilling();
    command.kill('SIGKILL');
    await command.result;
    while (toolsOf(bench, 'postgres').length > 0) await sleep(5);
    assert.ok(readdirSync(bench.tmp).some((name) => name.startsWith('lifeboat-pg-')));
    const next = await bench.run('integrity --drill latest --target few --debug', {
      env: { BACKUP_TARGET: 'few', REDIS_URL: undefined, DATABASE_URL: undefined },
    });
    assert.match(next.stderr, /removed what a killed run had left: [^:]*lifeboat-pg-/);
    assert.deepEqual(readdirSync(bench.tmp), []);
    assert.deepEqual(
      sharedMemory().filter((id) => !before.includes(id)),
      [],
    );
    // The next exclusive command would take its lease away; a read lease waits for unlock.
    await bench.json('unlock');
    await bench.nothingLeft();
  });
});

test('in a scratch server of the operator nothing stays; the very server of the backup is refused', async () => {
  const env = { REDIS_URL: undefined, BACKUP_FILES: undefined, BACKUP_TARGET: 'apart' };
  const { id } = await bench.backup('backup', { env });
  const names = async (): Promise<unknown> =>
    scratch.query(
      'postgres',
      'SELECT (SELECT array_agg(datname::text ORDER BY 1) FROM pg_database) AS databases, (SELECT ' +
        'array_agg(rolname::text ORDER BY 1) FROM pg_roles) AS roles',
    );
  const before = await names();
  const { backups } = await bench.json<DrillResult>(`integrity --drill ${id}`, {
    env: { ...env, BACKUP_DRILL_DATABASE_URL: scratch.url() },
  });
  assert.equal(backups[0]?.result, 'proven', JSON.stringify(backups[0]?.components[0]?.problems));
  assert.deepEqual(await names(), before);
  const killed = await bench.start(`integrity --drill ${id} --debug`, {
    env: { ...env, BACKUP_DRILL_DATABASE_URL: scratch.url() },
  });
  await killed.said(/restoring database sample/);
  while (
    (
      await scratch.query(
        'postgres',
        "SELECT 1 FROM pg_database WHERE shobj_description(oid, 'pg_database') LIKE 'lifeboat%'",
      )
    ).length === 0
  ) {
    await sleep(20);
  }
  killed.kill('SIGKILL');
  await killed.result;
  assert.notDeepEqual(await names(), before, 'what a killed drill leaves there');
  await bench.json<DrillResult>(`integrity --drill ${id}`, {
    env: { ...env, BACKUP_DRILL_DATABASE_URL: scratch.url() },
  });
  assert.deepEqual(await names(), before);
  await bench.json('unlock', { env });
  const refused = await bench.json<DrillResult>(`integrity --drill ${id}`, {
    env: { ...env, BACKUP_DRILL_DATABASE_URL: postgres.url() },
    exitCode: 2,
  });
  assert.deepEqual(
    refused.backups.map(({ result, evidence }) => [result, evidence]),
    [['impossible', undefined]],
  );
  await bench.nothingLeft();
});

test('a disk that is too small, and an extension that is not here, are named as that, and are no damage', async () => {
  const database = {
    name: 'app',
    owner: 'postgres',
    encoding: 'UTF8',
    collate: 'C',
    ctype: 'C',
    localeProvider: 'c',
    tablespace: 'pg_default',
    connectionLimit: -1,
    isTemplate: false,
    settings: [],
    extensions: [
      { name: 'nowhere_to_be_found', version: '1', schema: 'public' },
      { name: 'pg_trgm', version: '1.6', schema: 'public' },
    ],
    snapshot: { name: 'x', takenAt: 'x' },
    artifacts: { schema: 's', data: 'd', tables: [] },
    tables: [],
    largeObjects: { count: '0', bytes: '0' },
    sequences: [],
    publications: [],
    subscriptions: [],
  };
  const drillOf = async (facts: unknown): Promise<void> =>
    drillDatabase(subjectOf(facts) as Parameters<typeof drillDatabase>[0], new DrillRecord(), collectingContext());
  const factsOf = (of: object): unknown =>
    new Map([['database', { serverVersion: '15.0', serverVersionNum: 150000, toolVersion: '15.0', databases: [of] }]]);
  const subjectOf = (facts: unknown): unknown => ({
    component: { name: 'database' },
    manifest: { id: 'x' },
    facts,
    reader: { artifacts: [], open: () => assert.fail('nothing is to be read') },
    config: { jobs: 1, drill: { scratchPostgresUrl: undefined, isolation: 'auto', user: undefined } },
  });
  const table = { schema: 'public', name: 't', kind: 'r', rows: '1', method: 'count', bytes: 1e15 };
  await assert.rejects(drillOf(factsOf({ ...database, tables: [table] })), {
    code: 'space',
    message: /for a throwaway PostgreSQL server/,
  });
  await assert.rejects(drillOf(factsOf(database)), {
    code: 'tool',
    message: /^the throwaway server cannot have the extensions of the backup: nowhere_to_be_found \([^;]*\)$/,
  });
});

test('the throwaway server listens to nobody else: no network, a password, its own superuser only', async () => {
  const context = collectingContext();
  const isolation = await chooseIsolation({ isolation: 'auto', user: undefined });
  await using cluster = await startScratchCluster(await findScratchPlace(15), isolation, context);
  const shown = async (name: string): Promise<unknown> =>
    withConnection(
      cluster.url,
      { signal: context.signal },
      async (client) => (await client.query(`SHOW ${name}`))[0]?.[name],
    );
  assert.deepEqual(
    [await shown('listen_addresses'), await shown('shared_preload_libraries'), await shown('unix_socket_permissions')],
    ['', '', '0700'],
  );
  const url = parsePostgresUrl(cluster.url.reveal().replace(/:[0-9a-f]+@/, ':wrong@'));
  await assert.rejects(
    withConnection(url, { signal: context.signal }, async () => {}),
    /password/,
  );
});
