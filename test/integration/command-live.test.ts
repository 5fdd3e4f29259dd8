/** Restores into what is live: asked for, saved first, swapped, taken back; without the name nothing changes. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import type { ListResult } from '../../src/operations/list/request.ts';
import type { UndoRestoreResult } from '../../src/operations/restore/request.ts';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { digestOf, fillSample, startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import { createSampleDatabase } from '../helpers/source/sample-database.ts';

let postgres: TestPostgres;
let redis: TestRedis;
let bench: Bench;
let uploads: string;
/** The state when the backup was taken. */
let saved: unknown;
let id: string;

before(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis({ config: { appendonly: 'yes' } })]);
  await createSampleDatabase(postgres, 'sample', { sizeBytes: 3_000_000 });
  await fillSample(redis);
  bench = makeBench({ DATABASE_URL: postgres.url('sample'), REDIS_URL: redis.url() });
  uploads = join(bench.folder, 'uploads');
  mkdirSync(uploads);
  writeFileSync(join(uploads, 'picture'), 'as it was');
  bench.env = { ...bench.env, BACKUP_FILES: uploads };
  await bench.json('init');
  ({ id } = await bench.backup());
  saved = await look();
  await postgres.psql(
    'sample',
    `DELETE FROM app.visits; UPDATE app.customers SET name = 'destroyed'; DROP TABLE app.wide`,
  );
  redis.cli(['FLUSHALL']);
  redis.cli(['SET', 'after', 'the disaster']);
  writeFileSync(join(uploads, 'picture'), 'destroyed');
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([postgres?.stop(), redis?.stop()]);
});

/** All data that is live, and everything that lies beside it. */
async function look(): Promise<{
  customers: unknown;
  tables: unknown;
  databases: (string | null | undefined)[];
  digest: string;
  picture: string;
  folders: string[];
}> {
  return {
    customers: await postgres.query(
      'sample',
      'SELECT count(*), sum(hashtextextended(c::text, 0)) FROM app.customers c',
    ),
    tables: await postgres.query('sample', `SELECT count(*) FROM pg_class WHERE relnamespace = 'app'::regnamespace`),
    databases: (await postgres.query('postgres', 'SELECT datname AS name FROM pg_database ORDER BY 1')).map(
      ({ name }) => name,
    ),
    digest: digestOf(redis),
    picture: readFileSync(join(uploads, 'picture'), 'utf8'),
    folders: readdirSync(bench.folder).filter((name) => name.startsWith('uploads')),
  };
}

test('without --confirm, or with a wrong one: 18, and nothing is changed', async () => {
  const before = await look();
  const backups = bench.recorded();
  for (const [line, what] of [
    ['--only database', 'sample'],
    ['--only redis', `127.0.0.1:${redis.port}`],
    ['--only files', uploads],
    ['', 'main'],
  ] as const) {
    assertFailed(await bench.run(`restore ${id} --into-live ${line}`), 18, /confirm/, new RegExp(`--confirm.*${what}`));
    assertFailed(
      await bench.run(`restore ${id} --into-live ${line} --confirm someone-else`),
      18,
      /./,
      new RegExp(what),
    );
  }
  assert.deepEqual(await look(), before);
  assert.deepEqual(bench.recorded(), backups, 'no safety backup for what is not done');
  await bench.nothingLeft();
});

test('--dry-run tells what would be replaced, and changes nothing', async () => {
  const before = await look();
  const planned = await bench.json<{ steps: { action: string; to: string }[] }>(`restore ${id} --into-live --dry-run`);
  assert.deepEqual(
    planned.steps.map(({ action }) => action),
    ['restore beside, compare, swap', 'restore all keys and compare', 'restore beside, compare, swap'],
  );
  assert.deepEqual(await look(), before);
  assert.equal(bench.recorded().length, 1);
});

test('without --into-live a database goes beside; Redis with keys and a taken name are refused', async () => {
  const before = await look();
  assertFailed(await bench.run(`restore ${id} --only redis`), 18, /holds 1 keys/, /--into-live/);
  assertFailed(await bench.run(`restore ${id} --only database --to-database sample`), 18, /exists/, /./);
  assert.deepEqual(await look(), before);
  const beside = await bench.restore(`restore ${id} --only database`);
  assert.match(beside.components[0]?.to ?? '', /^sample_restored_\d{8}T\d{6}$/);
  await postgres.query('postgres', `DROP DATABASE "${beside.components[0]?.to}"`);
  const files = await bench.restore(`restore ${id} --only files`);
  assert.match(files.components[0]?.to ?? '', /uploads_restored_\d{8}T\d{6}$/);
  assert.deepEqual({ ...(await look()), folders: [] }, { ...before, folders: [] });
});

test('into live: all is what it was, the old is kept and saved, sessions end, each part is taken back', async () => {
  const session = new pg.Client({ connectionString: postgres.url('sample') });
  session.on('error', () => {});
  await session.connect();
  const destroyed = await look();
  const restored = await bench.restore(`restore ${id} --into-live --confirm main`);
  const now = await look();
  const { customers, tables, digest, picture } = saved as Awaited<ReturnType<typeof look>>;
  assert.deepEqual([now.customers, now.tables, now.digest, now.picture], [customers, tables, digest, picture]);
  await assert.rejects(session.query('SELECT 1'), 'the old session is ended');
  const [database, , files] = restored.components;
  assert.match(database?.kept ?? '', /^sample_before_\d{8}T\d{6}$/);
  assert.match(database?.undo ?? '', /lifeboat restore --undo sample_before_/);
  const { backups } = await bench.json<ListResult>('list');
  assert.deepEqual(backups.find((backup) => backup.id === restored.safetyBackupId)?.tags, ['safety']);

  assertFailed(await bench.run(`restore --undo ${database?.kept}`), 18, /./, /sample/);
  const undone = await bench.json<UndoRestoreResult>(`restore --undo ${database?.kept} --confirm sample`);
  assert.deepEqual((await look()).customers, destroyed.customers);
  assert.match(undone.setAside, /^sample_/);
  renameSync(uploads, `${uploads}_undone`);
  renameSync(files?.kept ?? '', uploads);
  assert.equal((await look()).picture, 'destroyed');
  await bench.restore(
    `restore ${restored.safetyBackupId} --only redis --into-live --no-backup --confirm 127.0.0.1:${redis.port}`,
  );
  assert.equal((await look()).digest, destroyed.digest);
  await bench.nothingLeft();
});

test('a swap that cannot be done leaves the live database as it is, and says so', async () => {
  await postgres.psql(
    'postgres',
    'CREATE ROLE limited LOGIN CREATEDB; GRANT pg_read_all_data TO ' +
      'limited; GRANT CONNECT ON DATABASE sample TO limited',
  );
  const before = await look();
  const result = await bench.run(`restore ${id} --only database --into-live --no-backup --confirm sample`, {
    env: { DATABASE_URL: postgres.url('sample', 'limited') },
  });
  assert.notEqual(result.exitCode, 0);
  const now = await look();
  assert.deepEqual({ ...now, databases: [] }, { ...before, databases: [] });
  assert.match(result.stderr, /^lifeboat: .*\n(state: .*\n)?hint: /m);
  await bench.nothingLeft();
});

test('a backup that nobody trusts, an unknown id, an ambiguous one: refused with the nearest right one', async () => {
  assertFailed(await bench.run(`restore ${id.slice(0, -1)}x --only files`), 10, /no backup/, new RegExp(id));
  assertFailed(await bench.run(`restore ${id.slice(0, 4)} --only files`), 2, /several|ambiguous|begin|fits/, /./);
  assertFailed(await bench.run('restore latest~99 --only files'), 10, /./, /./);
  assertFailed(await bench.run('restore'), 2, /needs the id/, /lifeboat list/);
});
