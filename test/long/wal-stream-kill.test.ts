/** kill -9 of the receiver at ten moments, while rows are committed: no segment is lost, nothing differs, no gap, and the recovered rows have no hole. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { toolsOf } from '../helpers/command-run.ts';
import { checkArchived, recoverLatest, startStreamBench, startWriter, type StreamBench } from '../helpers/wal-stream-bench.ts';

const rounds = 10;
let lab: StreamBench;
before(async () => {
  lab = await startStreamBench();
});
after(async () => lab?.stop());

test('killed at ten moments, it goes on without a gap, and what was acknowledged is recovered', async () => {
  const { bench, server } = lab;
  let stream = await lab.stream('--create-slot');
  const [slot] = await server.query('postgres', "SELECT pg_walfile_name(restart_lsn) AS first FROM pg_replication_slots");
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
  assert.deepEqual(numbers, Array.from({ length: writer.acknowledged.size }, (_, i) => i + 1));
});
