/**
 * The receiver of a real server's log: seconds behind, through outages of server and storage, and a recovery from the
 * repository alone.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { WalStreamReport } from '../../src/operations/wal/request.ts';
import { parseLsn } from '../../src/source/postgres/wal/lsn.ts';
import { walDocuments } from '../../src/ui/json/wal-documents.ts';
import { assertFailed, namesBelow, toolsOf } from '../helpers/cli/command-run.ts';
import { startPostgres } from '../helpers/servers/postgres.ts';
import {
  checkArchived,
  recoverLatest,
  startStreamBench,
  startWriter,
  type StreamBench,
} from '../helpers/cluster/wal-stream-bench.ts';

let lab: StreamBench;
/** The first segment that the slot keeps. */
let first = '';

before(async () => {
  lab = await startStreamBench();
});
after(async () => lab?.stop());

const rows = (n: number): string =>
  'INSERT INTO w SELECT n, now(), repeat(md5(n::text), 60) FROM generate_series((SELECT coalesce(max(n), 0) + 1 ' +
  `FROM w), (SELECT coalesce(max(n), 0) + ${n} FROM w)) n`;
const unfinishedNames = (): string[] =>
  namesBelow(join(lab.bench.repository, 'wal')).filter((name) => /\.[0-9A-F]{16}\.partial\.wal$/.test(name));
const lines = (stdout: string): WalStreamReport[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => walDocuments['wal-stream'].parse(JSON.parse(line)) as WalStreamReport & { schema: string });

async function lsn(): Promise<bigint> {
  const [row] = await lab.server.query('postgres', 'SELECT pg_current_wal_flush_lsn() AS lsn');
  return parseLsn(row?.['lsn'] ?? '');
}

/** Until the archive reaches a position; the last bytes of a record may be zeros. */
async function archivedUpTo(position: bigint): Promise<void> {
  for (;;) {
    const system = (await lab.status()).systems.find(({ systemId }) => systemId === lab.systemId);
    const end = system?.timelines.at(-1);
    if (end?.unfinished !== undefined && parseLsn(end.unfinished.lsn) + 64n >= position) return;
    if (
      end !== undefined &&
      end.last > first &&
      BigInt(`0x${end.last.slice(8, 16)}${end.last.slice(18, 24)}00000`) >= position
    ) {
      return;
    }
    await sleep(200);
  }
}

test("without its slot it says how to make one; another cluster than the target's gets no slot", async () => {
  const { bench, server } = lab;
  assertFailed(
    await bench.run('wal stream'),
    13,
    /the server has no replication slot lifeboat/,
    /wal stream --create-slot/,
  );
  assertFailed(await bench.run('wal stream --slot A-b'), 2, /not a valid name for a replication slot/);
  const stream = await lab.stream('--create-slot', '--json');
  const again = await bench.run('wal stream');
  assertFailed(again, 11, /wal-\d+ is locked by "wal stream"/);
  const skipped = await bench.json<WalStreamReport>('wal stream --if-running=skip');
  assert.equal(skipped.state, 'skipped');
  assertFailed(await bench.run('wal stream --create-slot --slot second'), 11, /is locked by "wal stream"/);
  await bench.json<WalStreamReport>('wal stream --create-slot --slot third --if-running=skip');
  assert.deepEqual(await server.query('postgres', 'SELECT slot_name FROM pg_replication_slots'), [
    { slot_name: 'lifeboat' },
  ]);
  assertFailed(await bench.run('wal stream --drop-slot --confirm lifeboat'), 11, /in use/);
  stream.kill('SIGTERM');
  const ended = await stream.result;
  assert.equal(ended.exitCode, 0, ended.stderr);
  const told = lines(ended.stdout);
  assert.deepEqual([told[0]?.state, told.at(-1)?.state], ['streaming', 'ended']);
  const [slot] = await server.query(
    'postgres',
    'SELECT pg_walfile_name(restart_lsn) AS first, active FROM pg_replication_slots',
  );
  assert.equal(slot?.['active'], 'f');
  first =
    readdirSync(join(server.dataDir, 'pg_wal'))
      .filter((name) => /^[0-9A-F]{24}$/.test(name))
      .toSorted()[0] ?? '';
  await bench.nothingLeft();
  const other = await startPostgres();
  try {
    assertFailed(
      await bench.run('wal stream --create-slot', { env: { DATABASE_URL: other.url() } }),
      2,
      /cluster with system identifier \d+, but the archive of target main is that of \d+/,
      /--accept-new-system/,
    );
    assert.deepEqual(await other.query('postgres', 'SELECT 1 FROM pg_replication_slots'), []);
  } finally {
    await other.stop();
  }
});

test('server and receiver are killed: the repository alone gives every row but for three seconds', async () => {
  const { bench, server } = lab;
  const stream = await lab.stream();
  await bench.backup('backup base');
  const writer = startWriter(server, 1);
  await sleep(6000);
  const killedMs = Date.now();
  process.kill(server.pid, 'SIGQUIT');
  stream.kill('SIGKILL');
  await Promise.all([stream.result, writer.stop(), server.kill()]);
  const numbers = await recoverLatest(bench);
  const safe = [...writer.acknowledged].filter(([, at]) => at < killedMs - 3000).map(([n]) => n);
  assert.ok(safe.length > 50, `${safe.length}`);
  assert.deepEqual(
    numbers,
    Array.from({ length: numbers.length }, (_, i) => i + 1),
    'a row is missing in between',
  );
  assert.ok(numbers.length >= safe.length, `${numbers.length} of ${safe.length}`);
  assert.ok(unfinishedNames().length <= 2);
});

test('after kill -9 the next start goes on without a gap, and ships what it had without the server', async () => {
  const { bench, server } = lab;
  assert.equal(toolsOf(bench, 'pg_receivewal').length, 0, 'it ends with its server');
  assertFailed(await bench.run('wal stream'), 13, /cannot connect/);
  await server.start();
  const stream = await lab.stream();
  await server.query('postgres', rows(3000));
  await archivedUpTo(await lsn());
  const status = await lab.status();
  assert.deepEqual(status.systems[0]?.gaps, []);
  assert.ok((status.lag?.behindBytes ?? 1e9) < 1000, JSON.stringify(status.lag));
  stream.kill('SIGINT');
  const { exitCode, stderr } = await stream.result;
  assert.equal(exitCode, 0, stderr);
  await bench.nothingLeft();
  assert.ok((await checkArchived(lab, first)) > 5);
  assert.equal(unfinishedNames().length, 1, 'of finished segments nothing unfinished is left');
  const spool = join(bench.stateDir, 'repositories');
  const folder =
    namesBelow(spool)
      .find((name) => name.endsWith('.partial'))
      ?.replace(/\/[^/]*$/, '') ?? '';
  assert.equal(statSync(join(spool, folder)).mode & 0o777, 0o700);
  assert.equal(
    readdirSync(join(spool, folder)).filter((name) => /^[0-9A-F]{24}$/.test(name)).length,
    1,
    'only the newest shipped segment stays',
  );
});

test(
  'storage and server away for a while: nothing is dropped, and it ' +
    'goes on by itself; what waits on the host is bounded',
  async () => {
    const { bench, server } = lab;
    const stream = await lab.stream('--max-spool', '5MB');
    const away = `${bench.repository}-away`;
    renameSync(bench.repository, away);
    await server.query('postgres', rows(3000));
    await stream.said(/what is received cannot be shipped/);
    await stream.said(/what comes is left to the server for now/);
    await server.kill();
    await server.start();
    await server.query('postgres', rows(3000));
    const position = await lsn();
    assert.equal(existsSync(bench.repository), false, 'a repository that is gone is not made anew');
    renameSync(away, bench.repository);
    await stream.said(/the repository takes it again/);
    await archivedUpTo(position);
    await server.kill();
    await stream.said(/no log is received, the slot keeps it/);
    await server.start();
    await server.query('postgres', rows(100));
    await archivedUpTo(await lsn());
    stream.kill('SIGTERM');
    const { exitCode, stderr } = await stream.result;
    assert.equal(exitCode, 0, stderr);
    assert.ok((await checkArchived(lab, first)) > 15);
    assert.deepEqual((await lab.status()).systems[0]?.gaps, []);
    await bench.nothingLeft();
  },
);

test('wal fetch serves the newest unfinished segment at the end only', async () => {
  const { bench, systemId } = lab;
  const end = (await lab.status()).systems[0]?.timelines[0];
  const segment = end?.unfinished?.segment ?? '';
  const to = join(bench.folder, 'RECOVERYXLOG');
  const fetch = async (name: string): Promise<{ code: number; from?: string | undefined }> => {
    const { exitCode, stdout } = await bench.run(['wal', 'fetch', name, to, '--system-id', systemId, '--json'], {
      env: { BACKUP_STATE_DIR: join(bench.folder, `fetch-${Math.random()}`) },
    });
    return {
      code: exitCode,
      from: exitCode === 0 ? z.looseObject({ from: z.string() }).parse(JSON.parse(stdout)).from : undefined,
    };
  };
  assert.deepEqual(await fetch(end?.last ?? ''), { code: 0, from: 'repository' });
  assert.deepEqual(await fetch(segment), { code: 0, from: 'unfinished' });
  assert.equal(readFileSync(to).length, 1024 * 1024);
  const path = join(bench.repository, unfinishedNames().length === 1 ? `wal/${unfinishedNames()[0]}` : '');
  renameSync(
    join(bench.repository, `wal/${systemId}/00000001/${(end?.last ?? '').slice(8, 16)}/${end?.last}.wal`),
    join(bench.folder, 'aside'),
  );
  assert.equal((await fetch(end?.last ?? '')).code, 200, 'a gap, although only an unfinished one comes after');
  assert.equal((await bench.run('wal status')).exitCode, 14);
  renameSync(
    join(bench.folder, 'aside'),
    join(bench.repository, `wal/${systemId}/00000001/${(end?.last ?? '').slice(8, 16)}/${end?.last}.wal`),
  );
  assert.ok(existsSync(path));
});

test('a slot is removed when asked for; log that is lost by then is told, and begun anew only on request', async () => {
  const { bench, server } = lab;
  assertFailed(await bench.run('wal stream --drop-slot'), 18, /lifeboat/);
  assert.equal((await bench.json<WalStreamReport>('wal stream --drop-slot --confirm lifeboat')).state, 'slot-dropped');
  assert.equal((await bench.json<WalStreamReport>('wal stream --drop-slot --confirm lifeboat')).state, 'slot-absent');
  await server.query('postgres', "ALTER SYSTEM SET wal_keep_size = '0'; ");
  await server.query('postgres', 'SELECT pg_reload_conf()');
  await server.query('postgres', rows(3000));
  for (let n = 0; n < 3; n++) await server.query('postgres', 'SELECT pg_switch_wal(); CHECKPOINT');
  assertFailed(
    await bench.run('wal stream --create-slot'),
    17,
    /no longer has the log that comes next/,
    /--create-slot --accept-gap/,
  );
  const slots = 'SELECT slot_name FROM pg_replication_slots';
  assert.deepEqual(await server.query('postgres', slots), [], 'nobody would fetch what it keeps');
  // One that may do no more than it must, and cannot see what log the server has.
  await server.query('postgres', 'CREATE ROLE streamer LOGIN REPLICATION');
  bench.env = { ...bench.env, DATABASE_URL: server.url('postgres', 'streamer') };
  const stream = await lab.stream('--create-slot', '--accept-gap');
  await stream.said(/warn wal: the archive has no segment directly before/);
  // The gap shows.
  while ((await bench.run('wal status')).exitCode !== 14) await sleep(200);
  stream.kill('SIGTERM');
  assert.equal((await stream.result).exitCode, 0);
  await bench.nothingLeft();
});
