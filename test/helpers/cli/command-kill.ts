/** kill -9 of whole commands at random moments, and what must hold afterwards. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from './command-run.ts';
import { compareTrees, readTree } from '../source/file-tree.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { digestOf, fillMany, startRedis, type TestRedis } from '../servers/redis.ts';

export interface KillTargets {
  /** Restores all of the newest backup into places of their own: database "back", another Redis, folder "back". */
  readonly restoreLine: string;
  readonly redis: TestRedis;
  /** What there is in the places that restores write to: databases, keys, folders. */
  look(): Promise<{
    readonly databases: readonly string[];
    readonly digest: string;
    readonly role: string;
    readonly folders: readonly string[];
  }>;
  /** Client sessions on the PostgreSQL server, once they have had time to end. */
  sessions(): Promise<unknown[]>;
  /** Fails unless the restored places equal the sources. */
  assertRestored(): Promise<void>;
  /** Fails if a place has something under the wanted name that does not equal the source. */
  assertWhole(): Promise<void>;
  /** Empties the places. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts servers with data (about 260 bytes a row), configures the bench for them, and takes a first backup. */
export async function startKillTargets(bench: Bench, rows: number): Promise<KillTargets> {
  const [postgres, redis, other] = await Promise.all([startPostgres(), startRedis(), startRedis()]);
  await postgres.query('postgres', 'CREATE DATABASE shop');
  await postgres.psql(
    'shop',
    'CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT n, repeat(md5(n::text), 8) FROM ' +
      `generate_series(1, ${rows}) n`,
  );
  fillMany(redis, 20_000);
  const files = join(bench.folder, 'files');
  mkdirSync(files);
  for (let n = 0; n < 5; n++) writeFileSync(join(files, `noise-${n}`), randomBytes(3_000_000));
  bench.env = {
    ...bench.env,
    DATABASE_URL: postgres.url('shop'),
    REDIS_URL: redis.url(),
    BACKUP_FILES: files,
    OTHER_REDIS: other.url(),
  };
  await bench.json('init');
  await bench.backup();
  const back = join(bench.folder, 'back');
  const targets: KillTargets = {
    restoreLine: `restore latest --to-database back --to-url-env OTHER_REDIS --to-dir ${back}`,
    redis: other,
    look: async () => ({
      databases: await databases(postgres),
      digest: digestOf(other),
      role: other.cli(['ROLE']).split('\n')[0] ?? '',
      folders: readdirSync(bench.folder).filter((name) => name.includes('back')),
    }),
    sessions: () => sessionsOf(postgres),
    assertRestored: async () => {
      const { databases: names, digest, folders } = await targets.look();
      assert.deepEqual([names.includes('back'), digest, folders], [true, digestOf(redis), ['back']]);
      await targets.assertWhole();
    },
    assertWhole: async () => {
      const { databases: names, digest, folders } = await targets.look();
      if (names.includes('back')) assert.deepEqual(await rowsOf(postgres, 'back'), await rowsOf(postgres, 'shop'));
      assert.ok([digestOf(redis), '0'.repeat(40)].includes(digest), 'Redis holds a part');
      if (folders.includes('back')) {
        assert.deepEqual(compareTrees(readTree(files), readTree(join(back, files)), { mtimeToleranceNs: 1000n }), []);
      }
    },
    clear: async () => {
      await postgres.query('postgres', 'DROP DATABASE IF EXISTS back');
      other.cli(['FLUSHALL']);
      rmSync(back, { recursive: true, force: true });
    },
    stop: async () => void (await Promise.all([postgres.stop(), redis.stop(), other.stop()])),
  };
  return targets;
}

/** Each killed backup is either not listed or restores whole; the next backup works and leaves nothing. */
export async function killedBackups(bench: Bench, targets: KillTargets, rounds: number): Promise<void> {
  const wholeMs = (await bench.run('backup -q')).durationMs;
  for (let round = 0; round < rounds; round++) {
    const before = bench.recorded();
    const command = await bench.start('backup -q');
    await sleep(wholeMs * ((round + Math.random()) / rounds));
    command.kill('SIGKILL');
    await command.result;
    const [added, ...more] = bench.recorded().filter((id) => !before.includes(id));
    assert.deepEqual(more, []);
    if (added !== undefined) await restoreAndCompare(bench, targets, added);
    const { id } = await bench.backup();
    assert.ok((await bench.ids()).includes(id));
    assert.deepEqual(await targets.sessions(), []);
    await nothingLeftOfKill(bench);
  }
  await restoreAndCompare(bench, targets, 'latest');
}

/** A killed restore leaves nothing under the wanted names that is not whole; the next one cleans up and works. */
export async function killedRestores(bench: Bench, targets: KillTargets, rounds: number): Promise<void> {
  await targets.clear();
  const wholeMs = (await bench.run(targets.restoreLine)).durationMs;
  for (let round = 0; round < rounds; round++) {
    await targets.clear();
    const command = await bench.start(`${targets.restoreLine} -q`);
    await sleep(wholeMs * ((round + Math.random()) / rounds));
    command.kill('SIGKILL');
    const { exitCode } = await command.result;
    if (exitCode === 0) await targets.assertRestored();
    await targets.assertWhole();
    await freeRedis(bench, targets);
    await targets.clear();
    await restoreAndCompare(bench, targets, 'latest');
    assert.deepEqual(await targets.sessions(), []);
    await nothingLeftOfKill(bench);
  }
}

/** A killed restore may have left the target a read-only replica: the next restore into it makes it a primary. */
async function freeRedis(bench: Bench, targets: KillTargets): Promise<void> {
  if ((await targets.look()).role === 'master') return;
  await bench.restore(
    'restore latest --only redis --to-url-env OTHER_REDIS --into-live --no-backup --confirm ' +
      `127.0.0.1:${targets.redis.port}`,
  );
  assert.equal((await targets.look()).role, 'master');
}

async function restoreAndCompare(bench: Bench, targets: KillTargets, id: string): Promise<void> {
  await targets.clear();
  await bench.restore(targets.restoreLine.replace('latest', id));
  await targets.assertRestored();
  await targets.clear();
}

/** Temporaries of a killed put stay in the repository until a cleanup: they are no objects. */
async function nothingLeftOfKill(bench: Bench): Promise<void> {
  for (const entry of readdirSync(bench.repository, { recursive: true, withFileTypes: true })) {
    if (/^\.(tmp|lock)-/.test(entry.name)) rmSync(join(entry.parentPath, entry.name));
  }
  await bench.nothingLeft();
}

async function databases(server: TestPostgres): Promise<string[]> {
  return (await server.query('postgres', 'SELECT datname AS name FROM pg_database ORDER BY 1')).map(
    ({ name }) => name ?? '',
  );
}

async function rowsOf(server: TestPostgres, database: string): Promise<unknown> {
  return server.query(database, `SELECT count(*), sum(hashtextextended(item::text, 0)) FROM item`);
}

async function sessionsOf(server: TestPostgres): Promise<unknown[]> {
  let rows: unknown[] = [];
  for (let tries = 0; tries < 250; tries++) {
    rows = await server.query(
      'postgres',
      "SELECT application_name, state, query FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid " +
        '<> pg_backend_pid()',
    );
    if (rows.length === 0) break;
    await sleep(20);
  }
  return rows;
}
