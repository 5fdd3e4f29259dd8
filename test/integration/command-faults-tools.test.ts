/**
 * Tools and servers that die, hang or are missing during a backup: the right exit code, nothing recorded, nothing left,
 * and the next backup works.
 */
import assert from 'node:assert/strict';
import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import {
  assertFailed,
  makeBench,
  namesBelow,
  toolThatMoves,
  type Bench,
  type RunningCommand,
  type RunOptions,
} from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { fillMany, startRedis, type TestRedis } from '../helpers/servers/redis.ts';

let postgres: TestPostgres;
let redis: TestRedis;
let bench: Bench;

before(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  await postgres.query('postgres', 'CREATE DATABASE shop');
  // Some 80 MB: more than all buffers between pg_dump and the repository, so that it can be caught in the middle.
  await postgres.psql(
    'shop',
    'CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT n, repeat(md5(n::text), 8) FROM ' +
      'generate_series(1, 300000) n',
  );
  fillMany(redis, 2000);
  bench = makeBench({ DATABASE_URL: postgres.url('shop'), REDIS_URL: redis.url() });
  await bench.json('init');
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([postgres?.stop(), redis?.stop()]);
});

/** Runs a backup that `fault` breaks, checks how it failed and what is left, and that the next one works. */
async function broken(
  line: string,
  fault: (command: RunningCommand) => Promise<void>,
  exitCode: number,
  message: RegExp,
  hint?: RegExp,
  options: RunOptions & { readonly repair?: () => Promise<void> } = {},
): Promise<void> {
  const idsBefore = bench.recorded();
  const command = await bench.start(line, options);
  try {
    await fault(command);
  } finally {
    const result = await command.result;
    await options.repair?.();
    assertFailed(result, exitCode, message, hint);
  }
  await bench.nothingLeft();
  assert.deepEqual(await sessions(), [], 'sessions in the database');
  assert.deepEqual(bench.recorded(), idsBefore, 'what failed is not listed');
  const next = await bench.backup(line.split(' --')[0]);
  assert.deepEqual(await bench.ids(), [...idsBefore, next.id]);
}

async function sessions(): Promise<unknown[]> {
  let rows: unknown[] = [];
  for (let tries = 0; tries < 100; tries++) {
    rows = await postgres.query(
      'postgres',
      "SELECT application_name, state, query FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid " +
        '<> pg_backend_pid()',
    );
    if (rows.length === 0) break;
    await sleep(20);
  }
  return rows;
}

test('pg_dump killed in mid-stream: 13', async () => {
  await broken(
    'backup database',
    async () => void process.kill(await toolThatMoves(bench, 'pg_dump', 5_000_000), 'SIGKILL'),
    13,
    /cannot dump data\.dump of database shop: pg_dump was killed by SIGKILL/,
  );
});

test('pg_dump ended by the server (its session terminated): 13, with what to look at', async () => {
  const fault = async (): Promise<void> => {
    const pid = await toolThatMoves(bench, 'pg_dump', 5_000_000);
    process.kill(pid, 'SIGSTOP');
    await postgres.query(
      'postgres',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY %'`,
    );
    await sleep(200);
    process.kill(pid, 'SIGCONT');
  };
  await broken(
    'backup database',
    fault,
    13,
    /cannot dump data\.dump of database shop: pg_dump exited with code 1/,
    /server/,
  );
});

test('a hung pg_dump: 13 after hangTimeoutSeconds', async () => {
  writeFileSync(join(bench.folder, 'hasty.json'), JSON.stringify({ hangTimeoutSeconds: 2 }));
  await broken(
    'backup database --config hasty.json',
    async () => void process.kill(await toolThatMoves(bench, 'pg_dump', 5_000_000), 'SIGSTOP'),
    13,
    /2 s|hung|no byte/,
    /./,
  );
});

test('a database that is locked for longer than lockWaitTimeoutSeconds: 13', async () => {
  const config = {
    targets: { main: { postgres: { url: { env: 'DATABASE_URL' }, databases: ['shop'], lockWaitTimeoutSeconds: 1 } } },
  };
  writeFileSync(join(bench.folder, 'locked.json'), JSON.stringify(config));
  const holder = new pg.Client({ connectionString: postgres.url('shop') });
  await holder.connect();
  await holder.query('BEGIN; LOCK TABLE item');
  await broken(
    'backup database --config locked.json',
    async ({ result }) => void (await result),
    13,
    /lock/,
    /pg_stat_activity/,
    { repair: () => holder.end() },
  );
});

test('PostgreSQL killed: 13', async () => {
  const fault = async (): Promise<void> => {
    await toolThatMoves(bench, 'pg_dump', 5_000_000);
    await postgres.kill();
  };
  await broken('backup database', fault, 13, /./, undefined, { repair: () => postgres.start() });
});

test('PostgreSQL not there at all: 13, and nothing of Redis is stored', async () => {
  await postgres.kill();
  await broken('backup', async () => {}, 13, /cannot connect|could not connect|unreachable|no such file/i, /./, {
    repair: () => postgres.start(),
  });
});

test('redis-server killed while it dumps: 13', async () => {
  redis.cli(['CONFIG', 'SET', 'rdb-key-save-delay', '2000']);
  const fault = async (): Promise<void> => {
    await snapshotGrows();
    await redis.kill();
  };
  const repair = async (): Promise<void> => {
    redis = await redis.restart();
    fillMany(redis, 2000);
  };
  await broken('backup redis', fault, 13, /./, /./, { repair });
});

test('the connection is cut while Redis dumps: 13', async () => {
  redis.cli(['CONFIG', 'SET', 'rdb-key-save-delay', '5000']);
  const fault = async (): Promise<void> => {
    await snapshotGrows();
    redis.cli(['CLIENT', 'KILL', 'TYPE', 'replica']);
  };
  await broken('backup redis', fault, 13, /the snapshot of Redis .* failed: the connection was lost/, /log/, {
    repair: async () => void redis.cli(['CONFIG', 'SET', 'rdb-key-save-delay', '0']),
  });
});

/** The first bytes of the snapshot have come. */
async function snapshotGrows(): Promise<void> {
  const hasBytes = (name: string): boolean =>
    name.endsWith('/dump.rdb') && (statSync(join(bench.tmp, name), { throwIfNoEntry: false })?.size ?? 0) > 0;
  while (!namesBelow(bench.tmp).some(hasBytes)) await sleep(10);
}

test('--timeout is exceeded: 13, and says so', async () => {
  await broken(
    'backup database --timeout 8s',
    async () => void process.kill(await toolThatMoves(bench, 'pg_dump', 3_000_000), 'SIGSTOP'),
    13,
    /longer than 8 s/,
    /--timeout/,
  );
});

test('more than --max-size would be stored: 15', async () => {
  const other = makeBench(bench.env);
  try {
    await other.json('init', { env: { BACKUP_REPOSITORY: `file://${other.repository}` } });
    const env = {
      BACKUP_REPOSITORY: `file://${other.repository}`,
      MAX_BACKUP_SIZE_MB: '1',
      TMPDIR: other.tmp,
      BACKUP_STATE_DIR: other.stateDir,
    };
    const result = await other.run('backup database', { env });
    assertFailed(result, 15, /more than 1000000 bytes/, /MAX_BACKUP_SIZE_MB/);
    await other.nothingLeft();
  } finally {
    await other[Symbol.asyncDispose]();
  }
});

test('no client programs of PostgreSQL: 16, and how to install them', async () => {
  const wrapper = ['/usr/bin/unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /usr/lib/postgresql && exec "$0" "$@"'];
  await broken(
    'backup database',
    async () => {},
    16,
    /no PostgreSQL client programs for a server of version \d+/,
    /postgresql-client-/,
    { wrapper, env: { PATH: toolFolder('no-pg') } },
  );
});

test('without any program of Redis a snapshot is taken all the same', async () => {
  const { components } = await bench.backup('backup redis', { env: { PATH: toolFolder('no-redis') } });
  assert.deepEqual(
    components.map(({ name }) => name),
    ['redis'],
  );
  await bench.nothingLeft();
});

/** A PATH with a shell and mount only. */
function toolFolder(name: string): string {
  const folder = join(bench.folder, name);
  mkdirSync(folder);
  for (const each of ['sh', 'mount', 'readlink']) symlinkSync(`/bin/${each}`, join(folder, each));
  return folder;
}
