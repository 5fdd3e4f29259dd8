/**
 * A replica rebuilt from the repository: it reads what the primary no longer has from the archive, then streams; what
 * is written on the primary afterwards arrives there.
 */
import assert from 'node:assert/strict';
import { chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PitrResult } from '../../src/operations/pitr/request.ts';
import { runTool, startTool, type RunningTool } from '../../src/lib/exec.ts';
import { startArchivingServer, type ArchivingServer } from '../helpers/cluster/wal-server.ts';
import { assertFailed, makeBench, type Bench, type CommandResult } from '../helpers/cli/command-run.ts';

let archive: ArchivingServer;
let bench: Bench;
let running: RunningTool | undefined;
/** Of the standby's server. */
let socketDir: string;

before(async () => {
  archive = await startArchivingServer({ settings: { autovacuum: 'off', max_wal_size: '2MB' } });
  const { server, home, owner, config } = archive;
  bench = makeBench();
  const settings = JSON.parse(readFileSync(config, 'utf8')) as object;
  const targets = { main: { postgres: { url: server.url(), databases: ['postgres'], base: {} } } };
  writeFileSync(config, JSON.stringify({ ...settings, targets }));
  socketDir = join(home, 'sockets');
  // The standby runs as the user that owns its folder.
  for (const folder of [socketDir, join(home, 'replica')]) {
    mkdirSync(folder, { mode: 0o700 });
    chownSync(folder, owner.uid, owner.gid);
  }
  await server.psql('postgres', 'CREATE TABLE t AS SELECT generate_series(1, 1000) n');
  assert.equal((await lifeboat(['backup', 'base'])).exitCode, 0);
  for (let n = 0; n < 8; n++) {
    await server.psql('postgres', `INSERT INTO t SELECT generate_series(1, 3000); CHECKPOINT; SELECT pg_switch_wal()`);
  }
  await archive.archived();
  // The primary keeps no more than it must: what the standby lacks is in the archive only.
  await server.query('postgres', "ALTER SYSTEM SET wal_keep_size = '0'");
  await server.query('postgres', 'SELECT pg_reload_conf()');
  await server.psql('postgres', 'CHECKPOINT');
});
after(async () => {
  running?.kill('SIGQUIT');
  await running?.result.catch(() => {});
  await archive?.server.stop();
  await bench?.[Symbol.asyncDispose]();
});

/** As root, on the repository of the server's user. */
async function lifeboat(words: readonly string[], env: Record<string, string> = {}): Promise<CommandResult> {
  const own = { BACKUP_REPOSITORY: undefined, BACKUP_ENCRYPTION_KEY: undefined, BACKUP_STATE_DIR: undefined };
  return bench.run([...words, '--config', archive.config], { env: { ...own, ...env } });
}

const onStandby = async (sql: string): Promise<string> => {
  const { server, owner } = archive;
  const args = ['-XAtq', '-h', socketDir, '-U', 'postgres', '-d', 'postgres', '-c', sql];
  const { stdout } = await runTool({ file: join(server.binDir, 'psql'), args, env: {}, ...owner });
  return stdout.trim();
};

test('it reads the archive, streams through its slot, and is read-only', async () => {
  const { server, home, owner } = archive;
  const dataDir = join(home, 'replica');
  const refused = await lifeboat(['pitr', '--type', 'standby', '--data-dir', dataDir, '--slot', 'Bad;name']);
  assertFailed(refused, 2, /is no name of a slot/);
  const words = ['pitr', '--type', 'standby', '--data-dir', dataDir, '--slot', 'replica', '--json'];
  const result = await lifeboat(words);
  assert.ok([0, 3].includes(result.exitCode), result.stdout + result.stderr);
  const done = JSON.parse(result.stdout) as Extract<PitrResult, { outcome: 'done' }>;
  assert.deepEqual([done.outcome, done.action, done.pid], ['done', 'standby', undefined]);
  assert.ok(existsSync(join(dataDir, 'standby.signal')) && !existsSync(join(dataDir, 'recovery.signal')));
  assert.equal(statSync(join(dataDir, 'postgresql.auto.conf')).mode & 0o777, 0o600);
  const [slot] = await server.query(
    'postgres',
    "SELECT slot_type, active FROM pg_replication_slots WHERE slot_name = 'replica'",
  );
  assert.deepEqual([slot?.['slot_type'], slot?.['active']], ['physical', 'f']);

  let log = '';
  running = await startTool({
    file: join(server.binDir, 'postgres'),
    args: ['-D', dataDir, '-c', `unix_socket_directories=${socketDir}`, '-c', 'port=5432', '-c', 'listen_addresses='],
    ...owner,
    cwd: dataDir,
    stdout: 'ignore',
    onStderrLine: (line) => (log += `${line}\n`),
  });
  running.result.catch(() => {});
  const streams = async (): Promise<boolean> =>
    (await server.query('postgres', "SELECT state FROM pg_stat_replication WHERE state = 'streaming'")).length === 1;
  while (!(await streams())) {
    assert.ok(existsSync(join(dataDir, 'postmaster.pid')) || log === '', log);
    await sleep(100);
  }
  assert.match(log, /restored log file "[0-9A-F]{24}" from archive/);
  await server.psql('postgres', 'CREATE TABLE later AS SELECT 42 AS v');
  while ((await onStandby("SELECT count(*) FROM pg_class WHERE relname = 'later'").catch(() => '0')) !== '1') {
    await sleep(50);
  }
  assert.equal(await onStandby('SELECT v FROM later'), '42');
  const sum = 'SELECT count(*), sum(n::bigint) FROM t';
  const [row] = await server.query('postgres', 'SELECT count(*) AS c, sum(n::bigint) AS s FROM t');
  assert.equal(await onStandby(sum), `${row?.['c']}|${row?.['s']}`);
  await assert.rejects(onStandby('CREATE TABLE no ()'), /read-only transaction/);
  const [active] = await server.query(
    'postgres',
    "SELECT active FROM pg_replication_slots WHERE slot_name = 'replica'",
  );
  assert.equal(active?.['active'], 't');
});

test('what does not go together is refused; a primary that is away is told, and the standby is made', async () => {
  const { home } = archive;
  for (const words of [
    ['pitr', '--type', 'standby', '--to', 'latest', '--data-dir', join(home, 'x')],
    ['pitr', '--type', 'standby', '--action', 'promote', '--data-dir', join(home, 'x')],
    ['pitr', '--to', 'latest', '--slot', 'a', '--data-dir', join(home, 'x')],
    ['pitr', '--data-dir', join(home, 'x')],
    ['pitr', '--type', 'standby'],
  ]) {
    assert.equal((await lifeboat(words)).exitCode, 2, words.join(' '));
  }
  assert.equal(existsSync(join(home, 'x')), false);
  const dataDir = join(home, 'alone');
  const primary = { PRIMARY: "postgres://re'p:geheim@127.0.0.1:9/postgres" };
  const result = await lifeboat(
    ['pitr', '--type', 'standby', '--primary-url-env', 'PRIMARY', '--slot', 'other', '--data-dir', dataDir],
    primary,
  );
  assert.equal(result.exitCode, 3, result.stderr);
  assert.match(result.stderr, /the slot was not made: .*pg_create_physical_replication_slot\('other', true\)/);
  assert.ok(!`${result.stdout}${result.stderr}`.includes('geheim'));
  const text = readFileSync(join(dataDir, 'postgresql.auto.conf'), 'utf8');
  assert.match(text, /^primary_conninfo = 'host=''127\.0\.0\.1'' port=''9'' user=''re\\\\''p'' password=''geheim''/m);
  assert.match(text, /^primary_slot_name = 'other'$/m);
});
