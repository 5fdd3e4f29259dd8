/**
 * One round with each of some other versions of the servers than the installed ones: back up, drill, restore, recover
 * to a moment. `npm run test:versions` does the rest.
 */
import assert from 'node:assert/strict';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { PitrResult } from '../../src/operations/pitr/request.ts';
import { withConnection } from '../../src/source/postgres/server/connection.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { walShipper } from '../helpers/cluster/wal-shipper.ts';
import { serverFolder, startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { digestOf, fillMany, startRedis } from '../helpers/servers/redis.ts';
import { endProcess } from '../helpers/cluster/pitr-cluster.ts';
import { programsOf, smokeVersions } from '../helpers/versions/server-versions.ts';

for (const name of smokeVersions) {
  const [kind = '', version = ''] = name.split('-');
  test(`${name}: back up, drill, restore${kind === 'postgres' ? ', recover' : ''}`, async () => {
    await (kind === 'postgres' ? roundWithPostgres(Number(version)) : roundWithRedis(name));
  });
}

const sample = `CREATE TYPE mood AS ENUM ('low', 'high');
  CREATE TABLE item (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m mood, t text, j jsonb, double int
    GENERATED ALWAYS AS (length(t) * 2) STORED);
  INSERT INTO item (m, t, j) SELECT 'low', md5(n::text), jsonb_build_object('n', n) FROM generate_series(1, 2000) n;
  CREATE TABLE part (id int, at date) PARTITION BY RANGE (at);
  CREATE TABLE part_a PARTITION OF part FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
  INSERT INTO part SELECT n, date '2020-03-01' + n FROM generate_series(1, 50) n;
  CREATE MATERIALIZED VIEW seen AS SELECT m, count(*) FROM item GROUP BY m;
  CREATE INDEX ON item (lower(t)); CREATE FUNCTION plus(a int) RETURNS int LANGUAGE sql AS 'SELECT a + 1'`;
/** Of databases that a DROP DATABASE has left: those that took sessions before. */
const invalid = ['gone', 'Odd one'];
const sum = `SELECT (SELECT md5(string_agg(i::text, ',' ORDER BY id)) FROM public.item i)
  || (SELECT count(*) FROM public.part) || (SELECT max(count) FROM public.seen) AS v`;

async function roundWithPostgres(version: number): Promise<void> {
  await using shipper = walShipper();
  const server = await startPostgres({
    version,
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=1', '--data-checksums'],
    settings: { archive_mode: 'on', archive_command: shipper.command, track_commit_timestamp: 'on' },
  });
  await using bench = makeRound(`postgres-${version}`);
  try {
    await server.psql('postgres', `CREATE DATABASE app; CREATE ROLE worker LOGIN`);
    await server.psql('app', sample);
    const targets = { main: { postgres: { url: server.url(), databases: ['app'], base: {} } } };
    writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ targets }), { mode: 0o600 });
    const loaded = await loadConfig({
      cwd: bench.folder,
      env: bench.env,
      need: { repository: true, encryption: true, targets: 'all' },
    });
    await bench.json('init');
    shipper.begin(loaded, await valueOf(server, 'SELECT system_identifier AS v FROM pg_control_system()'));
    const logical = await bench.backup('backup database');
    await provedBy(bench, `integrity --drill ${logical.id}`);
    const expected = await valueOf(server, sum, 'app');
    await bench.restore(`restore ${logical.id} --only database --to-database app_again`);
    assert.equal(await valueOf(server, sum, 'app_again'), expected);
    await roundOfMoments(bench, server, shipper.shipped);
  } finally {
    await server.stop();
  }
}

/** Base backup, more rows, and recovery to where they are. */
async function roundOfMoments(
  bench: Bench,
  server: TestPostgres,
  shipped: (name: string) => Promise<void>,
): Promise<void> {
  await leaveInvalid(server);
  await bench.backup('backup base');
  for (let n = 0; n < 8; n++) await server.query('app', `INSERT INTO item (t) VALUES ('after ${n}')`);
  const expected = await valueOf(server, sum, 'app');
  const last = 'SELECT pg_walfile_name(pg_switch_wal()) AS v FROM pg_current_xact_id()';
  await shipped(await valueOf(server, last));
  await provedBy(bench, 'integrity --drill --pitr', invalid);
  const dataDir = serverFolder(server, 'recovered');
  const words = ['pitr', '--to', 'latest', '--action', 'promote', '--data-dir', dataDir];
  const recovered = await bench.json<PitrResult>(words, { exitCode: 3 });
  assert.ok(recovered.outcome === 'done' && recovered.pid !== undefined && recovered.url !== undefined);
  assertTold(recovered.warnings, invalid);
  try {
    const found = await withConnection(parsePostgresUrl(recovered.url), { database: 'app' }, async (connection) =>
      connection.query(sum),
    );
    assert.equal(found[0]?.['v'], expected);
  } finally {
    await endProcess(recovered.pid);
    rmSync(parsePostgresUrl(recovered.url).host, { recursive: true, force: true });
  }
}

async function roundWithRedis(name: string): Promise<void> {
  const redis = await startRedis({ version: name });
  await using bench = makeRound(name);
  try {
    bench.env = { ...bench.env, BACKUP_TARGET: 'main', REDIS_URL: redis.url() };
    fillMany(redis, 300);
    redis.cli(['HSET', 'hash', 'a', '1', 'b', '2']);
    const expected = digestOf(redis);
    await bench.json('init');
    const { id } = await bench.backup();
    await provedBy(bench, 'integrity --drill');
    redis.cli(['FLUSHALL']);
    await bench.restore(`restore ${id} --only redis`);
    assert.equal(digestOf(redis), expected);
  } finally {
    await redis.stop();
  }
}

/** The version's programs come first in PATH. */
function makeRound(name: string): Bench {
  const bench = makeBench({ PATH: `${programsOf(name)}:/usr/bin:/bin` });
  chmodSync(bench.folder, 0o755);
  chmodSync(bench.tmp, 0o1777);
  return bench;
}

async function provedBy(bench: Bench, line: string, unread: readonly string[] = []): Promise<void> {
  const { backups, warnings } = documents.drill.parse(await bench.json(line));
  const parts = backups.flatMap(({ components }) => components);
  assert.deepEqual(
    [backups.map(({ result }) => result), parts.flatMap(({ problems }) => problems), warnings],
    [['proven'], [], []],
  );
  assertTold(
    parts.flatMap(({ notes }) => notes.filter((each) => each.startsWith('database '))),
    unread,
  );
}

/** A note for each database that was not read, and no other. */
function assertTold(notes: readonly string[], unread: readonly string[]): void {
  const named = notes.map((each) => /^database "(.*)" was not read: it is marked as invalid/.exec(each)?.[1] ?? each);
  assert.deepEqual(named.toSorted(), unread.toSorted());
}

/** As a DROP DATABASE leaves them that is interrupted. */
async function leaveInvalid(server: TestPostgres): Promise<void> {
  for (const name of ['gone', '"Odd one"', 'closed ALLOW_CONNECTIONS false']) {
    await server.query('postgres', `CREATE DATABASE ${name}`);
  }
  const names = "('gone', 'Odd one', 'closed')";
  await server.query('postgres', `UPDATE pg_database SET datconnlimit = -2 WHERE datname IN ${names}`);
}

async function valueOf(server: TestPostgres, sql: string, database = 'postgres'): Promise<string> {
  return (await server.query(database, sql))[0]?.['v'] ?? '';
}
