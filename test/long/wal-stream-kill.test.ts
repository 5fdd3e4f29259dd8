/**
 * kill -9 of the receiver at ten moments, while rows are committed: no segment is lost, nothing differs, no gap, and
 * the recovered rows have no hole.
 */
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseLsn } from '../../src/source/postgres/wal/lsn.ts';
import { toolsOf } from '../helpers/cli/command-run.ts';
import {
  checkArchived,
  recoverLatest,
  startStreamBench,
  startWriter,
  type StreamBench,
} from '../helpers/cluster/wal-stream-bench.ts';

const rounds = 10;
let lab: StreamBench;
before(async () => {
  lab = await startStreamBench();
});
after(async () => lab?.stop());

test('killed at ten moments, it goes on without a gap, and what was acknowledged is recovered', async () => {
  const { bench, server } = lab;
  let stream = await lab.stream('--create-slot');
  const [slot] = await server.query(
    'postgres',
    'SELECT pg_walfile_name(restart_lsn) AS first FROM pg_replication_slots',
  );
  const first = slot?.['first'] ?? '';
  await bench.backup('backup base');
  const writer = startWriter(server, 1);
  for (let round = 0; round < rounds; round++) {
    // From its very beginning to well on its way, and in between whatever it does then.
    await sleep((round % 5) * 400 + Math.random() * 400);
    stream.kill('SIGKILL');
    await stream.result;
    stream = await bench.start(['wal', 'stream', '--debug', '--interval', '0.3s', '--report', '0.5s']);
    if (round % 3 === 0) continue;
    await stream.said(/pg_receivewal runs/);
    assert.ok(toolsOf(bench, 'pg_receivewal').length <= 1, 'the one of the killed run is ended');
  }
  await stream.said(/shipped up to/);
  await writer.stop();
  await sleep(3000);
  assert.deepEqual((await lab.status()).systems[0]?.gaps, []);
  assert.ok((await checkArchived(lab, first)) > 5);
  process.kill(server.pid, 'SIGQUIT');
  stream.kill('SIGKILL');
  await Promise.all([stream.result, server.kill()]);
  const numbers = await recoverLatest(bench);
  assert.deepEqual(
    numbers,
    Array.from({ length: writer.acknowledged.size }, (_, i) => i + 1),
  );
});

test('stopped while the repository is away it says what is left, keeps it, and the next start ships it', async () => {
  const { bench, server } = lab;
  await server.start();
  const stream = await lab.stream();
  const away = `${bench.repository}-away`;
  renameSync(bench.repository, away);
  const [row] = await server.query(
    'postgres',
    "INSERT INTO w SELECT max(n) + 1, now(), 'last' FROM w; SELECT pg_current_wal_flush_lsn() AS lsn",
  );
  await sleep(1000);
  stream.kill('SIGTERM');
  const { exitCode, stderr, durationMs } = await stream.result;
  assert.equal(exitCode, 3, stderr);
  assert.match(
    stderr,
    /warn wal: the last of the log that was received is not in the repository: .*the next start ships it/,
  );
  assert.ok(durationMs < 60_000);
  renameSync(away, bench.repository);
  const again = await lab.stream();
  again.kill('SIGTERM');
  assert.equal((await again.result).exitCode, 0);
  const end = (await lab.status()).systems[0]?.timelines[0];
  assert.ok(parseLsn(end?.unfinished?.lsn ?? '0/0') + 64n >= parseLsn(row?.['lsn'] ?? ''), JSON.stringify(end));
  // Its own lease could not be taken back: the next start passes over that of a dead process.
  await bench.nothingLeft();
});
