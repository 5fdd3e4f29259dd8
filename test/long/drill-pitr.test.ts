/**
 * Drills of recoveries to random moments of a busy cluster (pgbench, COPY, savepoints, rollbacks, truncates, vacuum, a
 * prepared transaction): none of them raises a false alarm, and each finds something to prove by.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { runTool } from '../../src/lib/exec.ts';
import { backup } from '../../src/operations/backup/backup.ts';
import { drill } from '../../src/operations/drill/drill.ts';
import { init } from '../../src/operations/setup/init.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { collectingContext } from '../helpers/servers/redis.ts';
import { walShipper } from '../helpers/cluster/wal-shipper.ts';

const folder = mkdtempSync(join(tmpdir(), 'drill-pitr-'));
const shipper = walShipper();
const context = collectingContext();
let server: TestPostgres;
let loaded: LoadedConfig;
const bases: string[] = [];

before(async () => {
  chmodSync(folder, 0o755);
  server = await startPostgres({
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--wal-segsize=4'],
    settings: {
      archive_mode: 'on',
      archive_command: shipper.command,
      autovacuum_naptime: '1s',
      max_prepared_transactions: '5',
      max_wal_size: '64MB',
    },
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
  await pgbench(['--initialize', '--scale=5', '--quiet']);
  await server.psql('postgres', 'CREATE TABLE log (n serial, t text); CREATE TABLE scratch (a int)');
  for (let n = 0; n < 2; n++) {
    const done = await backup(
      loaded,
      { components: ['base'], tags: [], ifRunning: { action: 'fail' }, dryRun: false },
      context,
    );
    assert.ok(done.outcome === 'done');
    bases.push(done.id);
    await load();
    // Quiet for a while: moments in which nothing is written are moments, too.
    await sleep(3000);
  }
  const [last] = await server.query(
    'postgres',
    'SELECT pg_walfile_name(pg_switch_wal()) AS name FROM pg_current_xact_id()',
  );
  await shipper.shipped(last?.['name'] ?? '');
});

after(async () => {
  await server?.stop();
  await shipper[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function pgbench(args: readonly string[]): Promise<void> {
  await runTool({
    file: join(server.binDir, 'pgbench'),
    args: [...args, 'postgres'],
    env: server.env,
    stdout: 'ignore',
  });
}

async function load(): Promise<void> {
  const busy = pgbench(['--client=4', '--time=12', '--no-vacuum', '--rate=300']);
  for (let n = 0; n < 20; n++) {
    await server.psql(
      'postgres',
      `COPY log (t) FROM PROGRAM 'seq 1 500';
      BEGIN; INSERT INTO log (t) VALUES ('kept'); SAVEPOINT a; INSERT INTO log (t) VALUES ('part'); RELEASE a;
      SAVEPOINT b; INSERT INTO log (t) VALUES ('not'); ROLLBACK TO b; COMMIT;
      BEGIN; INSERT INTO log (t) SELECT 'rolled back' FROM generate_series(1, 100); ROLLBACK;
      BEGIN; INSERT INTO log (t) VALUES ('prepared'); PREPARE TRANSACTION 'p';
      ${n % 2 === 0 ? "COMMIT PREPARED 'p'" : "ROLLBACK PREPARED 'p'"};
      DELETE FROM log WHERE n % 7 = ${n % 7};
      ${n % 5 === 0 ? 'TRUNCATE scratch; VACUUM log;' : ''} INSERT INTO scratch VALUES (${n});
      INSERT INTO pgbench_branches VALUES (1, 0, '') ON CONFLICT DO NOTHING;
      CREATE TABLE IF NOT EXISTS t${n} AS SELECT n FROM generate_series(1, 100) n;
      ${n > 3 ? `DROP TABLE IF EXISTS t${n - 3};` : ''}`,
    );
    await sleep(300);
  }
  await busy;
}

const seeds = Array.from({ length: 12 }, (_, n) => String(n));

test('every drill proves its moment, by rows too; moments of both base backups are among them', async () => {
  const started = new Set<string>();
  for (const seed of seeds) {
    const { backups, warnings } = await drill(loaded, { ids: [], pitr: true, seed }, context);
    const [one] = backups;
    assert.deepEqual(
      [one?.result, one?.components[0]?.problems, one?.components[0]?.notes, warnings],
      ['proven', [], [], []],
      `seed ${seed}, ${one?.moment ?? ''}`,
    );
    const counts = one?.components[0]?.counts ?? {};
    assert.ok(
      (counts['rowsThere'] ?? 0) > 0 &&
        (counts['transactionsThere'] ?? 0) > 1 &&
        (counts['transactionsAbsent'] ?? 0) > 0,
      `seed ${seed}: ${JSON.stringify(counts)}`,
    );
    started.add(one?.id ?? '');
  }
  assert.deepEqual([...started].toSorted(), bases.toSorted());
});
