/**
 * From a recovered cluster back into the live server: whole databases and single tables; Redis and files beside; what
 * there is without a base backup; and an end at any moment.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../../src/config/load.ts';
import { processStart } from '../../src/lib/process-identity.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import type { PitrResult } from '../../src/operations/pitr/request.ts';
import type { ShowResult } from '../../src/operations/list/request.ts';
import type { UndoRestoreResult } from '../../src/operations/restore/request.ts';
import { withConnection } from '../../src/source/postgres/server/connection.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { assertFailed, makeBench, namesBelow, testKey, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import { walShipper } from '../helpers/cluster/wal-shipper.ts';

const shipper = walShipper();
let bench: Bench;
let server: TestPostgres;
let redis: TestRedis;
/** All is well up to here; then the table is lost. */
let moment = '';
let baseId = '';

before(async () => {
  bench = makeBench({ BACKUP_TARGET: 'main' });
  for (const folder of [bench.folder, bench.tmp]) chmodSync(folder, folder === bench.tmp ? 0o1777 : 0o755);
  server = await startPostgres({
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=1', '--data-checksums'],
    settings: { archive_mode: 'on', archive_command: shipper.command, autovacuum: 'off', synchronous_commit: 'on' },
  });
  redis = await startRedis();
  const files = join(bench.folder, 'files');
  mkdirSync(files);
  writeFileSync(join(files, 'a'), 'then');
  const postgres = { url: server.url(), databases: ['app'] };
  const main = { postgres: { ...postgres, base: {} }, redis: { url: redis.url() }, files: { paths: [files] } };
  const document = { targets: { main, plain: { postgres } } };
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify(document));
  await server.query('postgres', 'CREATE DATABASE app');
  await server.query(
    'app',
    'CREATE TABLE orders (id int PRIMARY KEY, note text); CREATE TABLE customers (id int PRIMARY KEY, name text); ' +
      "INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, 200) n; CREATE TABLE bulk AS SELECT n, " +
      'repeat(md5(n::text), 8) AS v FROM generate_series(1, 20000) n',
  );
  redis.cli(['set', 'key', 'then']);
  await bench.run('init');
  const loaded = await loadConfig({
    cwd: bench.folder,
    env: { ...bench.env, BACKUP_ENCRYPTION_KEY: testKey },
    document: { ...document, repository: `file://${bench.repository}` },
    need: { repository: true, encryption: true, targets: 'all' },
  });
  const [system] = await server.query('postgres', 'SELECT system_identifier AS v FROM pg_control_system()');
  shipper.begin(loaded, system?.['v'] ?? '');
  await bench.backup('backup database --target plain');
  baseId = (await bench.backup('backup base')).id;
  await bench.backup('backup redis files');
  await server.query(
    'app',
    "INSERT INTO orders SELECT n, 'o' || n FROM generate_series(1, 500) n; UPDATE customers SET name = " +
      'upper(name) WHERE id <= 100; UPDATE bulk SET v = v || n WHERE n % 2 = 0',
  );
  const [now] = await server.query(
    'app',
    'SELECT to_char(clock_timestamp() AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') AS at',
  );
  moment = now?.['at'] ?? '';
  await server.query('app', "DROP TABLE orders; UPDATE customers SET name = 'lost'; CREATE TABLE since (n int)");
  writeFileSync(join(files, 'a'), 'since');
  redis.cli(['set', 'key', 'since']);
  await ship();
});

async function ship(): Promise<void> {
  const [name] = await server.query(
    'app',
    'SELECT pg_walfile_name(pg_current_wal_lsn()) AS v FROM pg_current_xact_id()',
  );
  await server.query('postgres', 'SELECT pg_switch_wal()');
  await shipper.shipped(name?.['v'] ?? '');
}

after(async () => {
  await server?.stop();
  await redis?.stop();
  await shipper[Symbol.asyncDispose]();
  await bench[Symbol.asyncDispose]();
});

async function names(): Promise<string[]> {
  return (await server.query('postgres', 'SELECT datname AS name FROM pg_database ORDER BY 1')).map(
    (row) => row['name'] ?? '',
  );
}

async function content(database: string): Promise<Record<string, string | null>> {
  const [row] = await server.query(
    database,
    'SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM customers WHERE name = upper(name)) AS ' +
      "upper, to_regclass('since') AS since, (SELECT sum(length(v)) FROM bulk) AS bulk, (SELECT count(*) FROM " +
      'pg_extension) AS extensions',
  );
  return row ?? {};
}

async function pitr(args: readonly string[], exitCode = 0): Promise<PitrResult> {
  const result = await bench.json<PitrResult>(['pitr', '--to', moment, ...args], { exitCode });
  assert.deepEqual(documents.pitr.parse(result), result);
  return result;
}

/** A server that was left running, and the folder of its socket. */
async function end(pid: number, url: string): Promise<void> {
  const start = processStart(pid);
  process.kill(pid, 'SIGINT');
  while (start !== undefined && processStart(pid) === start) await sleep(20);
  rmSync(parsePostgresUrl(url).host, { recursive: true });
}

let then: Record<string, string | null> = {};

test(
  'a database comes beside the live one as it was at the moment, ' +
    'equal to the recovered cluster, which is gone afterwards',
  async () => {
    const before = await names();
    const planned = await pitr(['--into-database', 'app', '--dry-run']);
    assert.ok(planned.outcome === 'planned');
    assert.match(planned.copies?.[0]?.to ?? '', /^app_restored_/);
    assert.deepEqual(await names(), before);
    const done = await pitr(['--into-database', 'app']);
    assert.ok(done.outcome === 'done' && done.pid === undefined && done.dataDir === undefined);
    const [copied, ...more] = done.copied ?? [];
    assert.ok(copied !== undefined && more.length === 0);
    assert.equal(copied.verified, 'equal');
    then = await content(copied.to);
    assert.deepEqual(
      { ...then, bulk: null },
      { orders: '500', upper: '100', since: null, bulk: null, extensions: '1' },
    );
    assert.deepEqual(done.structure, { outcome: 'clean', databases: ['app', 'postgres', 'template1'], notes: [] });
    assert.ok(done.lastCommitAt !== undefined && done.lastCommitAt <= moment);
    assert.deepEqual(await names(), [...before, copied.to].sort());
    await bench.nothingLeft();
    await server.query('postgres', `DROP DATABASE "${copied.to}"`);
    const shown = await bench.json<ShowResult>(['show', baseId]);
    assert.ok(
      shown.evidence?.some(
        ({ level, result, counts }) => level === 'restore' && result === 'ok' && (counts?.['databases'] ?? 0) === 3,
      ),
      'kept as evidence',
    );
    const log = await bench.run('audit --json');
    assert.match(log.stdout, /"command":\s*"pitr"/);
  },
);

test('held at the moment, what a transaction under way has locked is named and not waited for', async () => {
  const dataDir = join(bench.folder, 'held');
  const held = await pitr(['--data-dir', dataDir, '--action', 'pause'], 3);
  assert.ok(held.outcome === 'done' && held.pid !== undefined && held.url !== undefined);
  try {
    assert.match(
      held.warnings.join('; '),
      /not read in database app: public\.orders, which a transaction that had not ended/,
    );
    assert.equal(held.structure.outcome, 'not-checked');
    assert.match(held.nextSteps.join('; '), /look at it: psql .*end it: kill -INT .*--action shutdown/);
  } finally {
    await end(held.pid, held.url);
    rmSync(dataDir, { recursive: true });
  }
});

test('a dropped table comes back into the live database; one that is there is refused at once', async () => {
  const refused = await bench.run([
    'pitr',
    '--to',
    moment,
    '--into-database',
    'app',
    '--tables',
    'public.*',
    '--into-live',
  ]);
  assertFailed(refused, 18, /"public"\."bulk".* exist in database "app"/, /leave out --into-live/);
  assert.doesNotMatch(refused.stderr, /restoring base backup/);
  const done = await pitr(['--into-database', 'app', '--tables', 'orders', '--into-live']);
  assert.ok(done.outcome === 'done' && done.copied?.[0]?.verified === 'equal');
  const [row] = await server.query(
    'app',
    "SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM customers WHERE name = 'lost') AS lost",
  );
  assert.deepEqual(row, { orders: '500', lost: '200' });
});

test('what cannot be copied leaves a cluster that was asked for complete, and says so', async () => {
  const dataDir = join(bench.folder, 'kept');
  const result = await bench.run(['pitr', '--to', moment, '--into-database', 'nowhere', '--data-dir', dataDir]);
  assertFailed(result, 10, /the recovered cluster holds no database "nowhere"/, /it holds: app, postgres/);
  assert.match(result.stderr, /the recovered cluster is complete in .*kept, shut down/);
  assert.ok(existsSync(join(dataDir, 'postgresql.conf')) && !existsSync(join(dataDir, 'postmaster.pid')));
  await bench.nothingLeft();
  rmSync(dataDir, { recursive: true });
});

test(
  'the live database is swapped for the recovered one once it is confirmed, Redis and files come from before the ' +
    'moment; and the way back',
  async () => {
    const args = ['--into-database', 'app', '--into-live', '--no-backup', '--with', 'redis,files'];
    assertFailed(await bench.run(['pitr', '--to', moment, ...args]), 18, /sessions in database "app" are ended/);
    const planned = await pitr([...args, '--check']);
    assert.ok(planned.outcome === 'planned');
    assert.deepEqual(
      planned.others?.map(({ component, distanceMs }) => [component, distanceMs > 0 && distanceMs < 600_000]),
      [
        ['redis', true],
        ['files', true],
      ],
    );
    const done = await pitr([...args, '--confirm', 'main']);
    assert.ok(done.outcome === 'done');
    assert.deepEqual(await content('app'), then);
    assert.equal(redis.cli(['get', 'key']), 'then');
    assert.equal(readFileSync(join(bench.folder, 'files/a'), 'utf8'), 'then');
    const kept = done.copied?.[0]?.kept ?? '';
    const undone = await bench.json<UndoRestoreResult>(['restore', '--undo', kept, '--confirm', 'app']);
    assert.equal(undone.outcome, 'done');
    assert.notEqual((await content('app'))['since'], null);
    await server.query('postgres', `DROP DATABASE "${undone.setAside}"`);
  },
);

test('by position the same backups are found; before the first one there is none', async () => {
  const planned = await bench
    .json<PitrResult>(['pitr', '--to', 'immediate', '--with', 'files', '--dry-run'])
    .catch((error: unknown) => error);
  assert.match(String(planned), /there is no backup of files before/);
  const latest = await bench.json<PitrResult>(['pitr', '--to', 'latest', '--with', 'files', '--dry-run']);
  assert.ok(latest.outcome === 'planned' && latest.others?.[0]?.component === 'files');
});

test('without a base backup the newest logical one takes its place, and what is lost is said', async () => {
  const planned = await pitr(['--target', 'plain', '--check'], 3);
  assert.ok(planned.outcome === 'fallback-planned' && planned.lostMs > 0);
  assert.match(planned.warnings[0] ?? '', /the newest logical backup before that moment takes its place.*is lost/);
  assertFailed(
    await bench.run('pitr --target plain --to 2020-01-01T00:00:00Z --dry-run'),
    17,
    /no logical backup from before that moment/,
  );
  const dataDir = join(bench.folder, 'new');
  const done = await pitr(['--target', 'plain', '--data-dir', dataDir, '--action', 'promote'], 3);
  assert.ok(done.outcome === 'fallback' && done.url !== undefined && done.pid !== undefined);
  try {
    const [row] = await withConnection(parsePostgresUrl(done.url.replace(/postgres$/, 'app')), {}, async (connection) =>
      connection.query(
        'SELECT (SELECT count(*) FROM public.orders) AS orders, (SELECT count(*) FROM public.customers) AS customers',
      ),
    );
    assert.deepEqual(row, { orders: '0', customers: '200' });
    assert.ok(existsSync(join(dataDir, 'postgresql.conf')), 'it can be started by itself');
  } finally {
    await end(done.pid, done.url);
    rmSync(dataDir, { recursive: true });
  }
});

test('ended in any phase, no server, no folder and no database stays', async () => {
  const before = await names();
  const dataDir = join(bench.folder, 'ended');
  const phases = [
    ['SIGTERM', /restoring base backup/, ['--data-dir', dataDir]],
    ['SIGINT', /replaying up to/, ['--data-dir', dataDir, '--action', 'pause']],
    ['SIGTERM', /reading every table of database app/, ['--data-dir', dataDir]],
    ['SIGINT', /checking the structure of database "app"/, ['--data-dir', dataDir, '--action', 'promote']],
    ['SIGTERM', /counting and hashing the tables/, ['--into-database', 'app']],
    ['SIGINT', /restoring database app as/, ['--into-database', 'app', '--data-dir', dataDir]],
  ] as const;
  for (const [signal, phase, args] of phases) {
    const command = await bench.start(['pitr', '--to', moment, ...args]);
    await command.said(phase);
    command.kill(signal);
    const { exitCode, stderr } = await command.result;
    assert.equal(exitCode, signal === 'SIGINT' ? 130 : 143, `${phase.source}: ${stderr}`);
    assert.equal(existsSync(dataDir), false, phase.source);
    assert.deepEqual(await names(), before, phase.source);
    await bench.nothingLeft();
  }
});

test('a damaged index fails the recovery with 14; what was recovered is kept, but does not start', async () => {
  // An index whose order is not the one that it is searched by any more.
  await server.psql(
    'app',
    `
    CREATE FUNCTION up(int, int) RETURNS int LANGUAGE sql IMMUTABLE
      AS 'SELECT CASE WHEN $1 = $2 THEN 0 WHEN $1 > $2 THEN 1 ELSE -1 END';
    CREATE FUNCTION down(int, int) RETURNS int LANGUAGE sql IMMUTABLE
      AS 'SELECT CASE WHEN $1 = $2 THEN 0 WHEN $1 < $2 THEN 1 ELSE -1 END';
    CREATE OPERATOR CLASS fickle FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =,
      OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 up(int, int);
    CREATE INDEX turned ON customers (id fickle);
    UPDATE pg_amproc SET amproc = 'down'::regproc WHERE amproc = 'up'::regproc;`,
  );
  await ship();
  const dataDir = join(bench.folder, 'damaged');
  const result = await bench.run(['pitr', '--to', 'latest', '--data-dir', dataDir]);
  assertFailed(result, 14, /pg_amcheck finds damage in database "\w+" of the recovered cluster: .*turned/);
  assert.match(result.stderr, /kept in .*until-recovered/);
  assert.equal(existsSync(join(dataDir, 'postgresql.conf')), false);
  assert.ok(existsSync(join(dataDir, 'global/pg_control')));
  rmSync(dataDir, { recursive: true });
  assert.deepEqual(namesBelow(bench.tmp), []);
});
