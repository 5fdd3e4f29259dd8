/**
 * The segment that a server of PostgreSQL 17 is still writing, as a stream has shipped it: it is sound up to where its
 * records end, and a recovery into it can be drilled.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PitrResult } from '../../src/operations/pitr/request.ts';
import { parseLsn } from '../../src/source/postgres/wal/lsn.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { startStreamBench, type StreamBench } from '../helpers/cluster/wal-stream-bench.ts';

let lab: StreamBench;

before(async () => {
  lab = await startStreamBench(undefined, 17);
});
after(async () => lab?.stop());

/** Until the stream has shipped all; the last bytes of a record may be zeros. */
async function shippedAll(): Promise<void> {
  const [row] = await lab.server.query('postgres', 'SELECT pg_current_wal_flush_lsn() AS lsn');
  for (;;) {
    const end = (await lab.status()).systems[0]?.timelines.at(-1)?.unfinished?.lsn;
    if (end !== undefined && parseLsn(end) + 64n >= parseLsn(row?.['lsn'] ?? '')) return;
    await sleep(100);
  }
}

test('beside a running stream the log is found whole, and a moment in the unfinished segment is proven', async () => {
  const { bench, server } = lab;
  const stream = await lab.stream('--create-slot');
  await bench.backup('backup base');
  for (let n = 1; n <= 12; n++) {
    await server.query('postgres', `INSERT INTO w VALUES (${n}, now(), repeat(md5('${n}'), 20))`);
    await sleep(20);
  }
  await shippedAll();
  const checked = await bench.json<PitrResult>('pitr --to latest --check');
  assert.ok(checked.outcome === 'planned' && (checked.checked ?? 0) > 0);
  const { backups, warnings } = documents.drill.parse(await bench.json('integrity --drill --pitr --seed two'));
  assert.deepEqual([backups.map(({ result }) => result), warnings], [['proven'], []]);
  assert.ok((backups[0]?.components[0]?.counts['rowsThere'] ?? 0) > 0);
  stream.kill('SIGKILL');
  await stream.result;
  assert.equal((await bench.json<PitrResult>('pitr --to latest --check')).outcome, 'planned');
});
