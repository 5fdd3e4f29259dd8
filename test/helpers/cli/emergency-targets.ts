/**
 * A target with two databases, Redis and two folders, backed up once; then broken or lost; and what must be there after
 * an emergency restore.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeBench, type Bench, type CommandResult, type RunOptions } from './command-run.ts';
import { compareTrees, readTree, type TreeEntry } from '../source/file-tree.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { digestOf, fillMany, startRedis, type TestRedis } from '../servers/redis.ts';

export interface EmergencyTargets extends AsyncDisposable {
  readonly bench: Bench;
  readonly postgres: TestPostgres;
  readonly redis: TestRedis;
  readonly folders: readonly string[];
  /** What the services' commands have written. */
  readonly services: string;
  /** The backup. */
  readonly id: string;
  /** Default: services that note it when they are stopped and started. */
  writeConfig(emergency?: object): void;
  /** All is there, and wrong. */
  makeWrong(): Promise<void>;
  /** Nothing is there. */
  makeLost(): Promise<void>;
  /** Fails unless what is live equals what was backed up: rows, keys, files. */
  assertRight(): Promise<void>;
  /** Names of the databases and folders that were put aside or are left of a restore. */
  asides(): Promise<{ readonly kept: readonly string[]; readonly leftovers: readonly string[] }>;
  dropAsides(): Promise<void>;
  /** A command that is killed at a rename; see kill-at.mjs. */
  killedAt(line: string, when: string, options?: RunOptions): Promise<CommandResult>;
}

const names = ['shop', 'stock'] as const;

export async function startEmergencyTargets(rows = 200): Promise<EmergencyTargets> {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  const bench = makeBench({ DATABASE_URL: postgres.url('postgres'), REDIS_URL: redis.url() });
  const folders = ['one', 'two'].map((name) => join(bench.folder, 'data', name));
  bench.env = { ...bench.env, BACKUP_FILES: folders.join(':') };
  const services = join(bench.folder, 'services');
  const usual = {
    stopServices: ['/bin/sh', '-c', `echo stop >> ${services}`],
    startServices: ['/bin/sh', '-c', `echo start >> ${services}`],
  };
  const writeConfig = (emergency: object = usual): void => {
    writeFileSync(
      join(bench.folder, 'lifeboat.config.json'),
      JSON.stringify({
        targets: {
          main: {
            postgres: { url: { env: 'DATABASE_URL' }, databases: [...names] },
            redis: { url: { env: 'REDIS_URL' } },
            files: { paths: folders },
          },
        },
        emergency,
      }),
    );
  };
  writeConfig();
  for (const name of names) {
    await postgres.query('postgres', `CREATE DATABASE ${name}`);
    await postgres.psql(
      name,
      `CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT n, md5('${name}' || n) FROM ` +
        `generate_series(1, ${rows}) n`,
    );
  }
  fillMany(redis, 500);
  for (const folder of folders) {
    mkdirSync(folder, { recursive: true });
    for (let n = 0; n < 5; n++) writeFileSync(join(folder, `file-${n}`), `${folder} ${n}`);
  }
  await bench.json('init');
  const { id } = await bench.backup();
  const rowsOf = async (): Promise<unknown[]> =>
    Promise.all(
      names.map((name) =>
        postgres.query(name, 'SELECT count(*)::text AS n, sum(hashtextextended(item::text, 0))::text AS h FROM item'),
      ),
    );
  const source = { rows: await rowsOf(), digest: digestOf(redis), trees: folders.map((folder) => readTree(folder)) };
  const data = join(bench.folder, 'data');
  const databases = async (): Promise<string[]> =>
    (await postgres.query('postgres', 'SELECT datname AS name FROM pg_database')).map(({ name }) => name ?? '');
  const asides: EmergencyTargets['asides'] = async () => {
    const all = [...(await databases()), ...(existsSync(data) ? readdirSync(data) : [])];
    return {
      kept: all.filter((name) => name.includes('_before_')),
      leftovers: all.filter((name) => /restor/.test(name)),
    };
  };
  return {
    bench,
    postgres,
    redis,
    folders,
    services,
    id,
    writeConfig,
    makeWrong: async () => {
      for (const name of names) await postgres.query(name, "UPDATE item SET name = 'wrong'");
      redis.cli(['SET', 'wrong', 'wrong']);
      for (const folder of folders) writeFileSync(join(folder, 'file-0'), 'wrong');
    },
    makeLost: async () => {
      for (const name of names) await postgres.query('postgres', `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      redis.cli(['FLUSHALL']);
      rmSync(data, { recursive: true, force: true });
    },
    assertRight: async () => {
      assert.deepEqual(await rowsOf(), source.rows);
      assert.equal(digestOf(redis), source.digest);
      assert.equal(redis.cli(['ROLE']).split('\n')[0], 'master');
      folders.forEach((folder, n) =>
        assert.deepEqual(
          compareTrees(source.trees[n] as ReadonlyMap<string, TreeEntry>, readTree(folder), {
            mtimeToleranceNs: 1000n,
          }),
          [],
        ),
      );
    },
    asides,
    dropAsides: async () => {
      for (const name of await databases()) {
        if (/_before_|_restored_/.test(name)) await postgres.query('postgres', `DROP DATABASE "${name}"`);
      }
      if (existsSync(data)) {
        for (const name of readdirSync(data)) {
          if (/_before_|_restored_/.test(name)) rmSync(join(data, name), { recursive: true });
        }
      }
      rmSync(services, { force: true });
    },
    killedAt: async (line, when, { env, ...options } = {}) =>
      bench.run(line, {
        ...options,
        env: { ...env, NODE_OPTIONS: `--import ${join(import.meta.dirname, 'kill-at.mjs')}`, KILL_AT: when },
      }),
    [Symbol.asyncDispose]: async () => {
      await bench[Symbol.asyncDispose]();
      await Promise.all([postgres.stop(), redis.stop()]);
    },
  };
}

/** What the services' commands did, in order. */
export function servicesDone({ services }: EmergencyTargets): string[] {
  return existsSync(services) ? readFileSync(services, 'utf8').trim().split('\n') : [];
}
