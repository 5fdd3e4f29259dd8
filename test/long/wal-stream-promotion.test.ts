/**
 * The receiver of a standby that is promoted follows it to the new timeline; a server that does not go on from there is
 * told.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { createSlot, findReceiver, readServer, startReceiver } from '../../src/source/postgres/server/receiver.ts';
import { parseLsn } from '../../src/source/postgres/wal/lsn.ts';
import { segmentAt } from '../../src/source/postgres/wal/file-name.ts';
import { StreamSpool } from '../../src/operations/wal/stream/spool.ts';
import { namesBelow } from '../helpers/cli/command-run.ts';
import { startStandby, type Standby } from '../helpers/cluster/standby.ts';
import { recoverLatest, startStreamBench, startWriter, type StreamBench } from '../helpers/cluster/wal-stream-bench.ts';

let lab: StreamBench;
let standby: Standby;
let standbyUrl = '';

before(async () => {
  lab = await startStreamBench();
  standby = await startStandby(lab.server);
  standbyUrl = standby.url;
});
after(async () => {
  await standby?.[Symbol.asyncDispose]();
  await lab?.stop();
});

const onStandby = async (sql: string): Promise<string> => standby.ask(sql);

test('over a promotion: the history, both timelines, no gap, and all rows of both', async () => {
  const { bench, server } = lab;
  const fromStandby = { DATABASE_URL: standbyUrl };
  // The base backup comes from the primary, whose log another slot brings at first.
  const primary = await lab.stream('--create-slot', '--slot', 'primary');
  await bench.backup('backup base');
  primary.kill('SIGTERM');
  assert.equal((await primary.result).exitCode, 0);
  // On a standby a slot can be made, too.
  const stream = await bench.start(
    ['wal', 'stream', '--debug', '--interval', '0.5s', '--report', '0.5s', '--create-slot', '--if-running=skip'],
    { env: fromStandby },
  );
  await stream.said(/shipped up to/);
  const writer = startWriter(server, 1);
  await sleep(2500);
  await writer.stop();
  const written = writer.acknowledged.size;
  while ((await onStandby('SELECT max(n) AS v FROM public.w')) !== String(written)) await sleep(50);
  server.kill().catch(() => {});
  assert.equal(await onStandby('SELECT pg_promote() AS v'), 't');
  await onStandby(
    "INSERT INTO public.w SELECT n, now(), (SELECT string_agg(md5(n || '-' || i), '' ORDER BY i) FROM " +
      `generate_series(1, 190) i) FROM generate_series(${written + 1}, ${written + 500}) n`,
  );
  const lsn = parseLsn(await onStandby('SELECT pg_current_wal_flush_lsn() AS v'));
  for (let tries = 0; ; tries++) {
    const { systems } = await lab.status().catch(() => ({ systems: [] }));
    const second = systems[0]?.timelines.find(({ timeline }) => timeline === 2);
    if (second?.unfinished !== undefined && parseLsn(second.unfinished.lsn) + 64n >= lsn) break;
    assert.ok(tries < 200, JSON.stringify(systems));
    await sleep(100);
  }
  stream.kill('SIGTERM');
  const { exitCode, stderr } = await stream.result;
  assert.equal(exitCode, 0, stderr);
  const [system] = (await lab.status()).systems;
  assert.deepEqual([system?.gaps, system?.missingHistories], [[], []]);
  assert.ok(namesBelow(join(bench.repository, 'wal')).some((name) => name.endsWith('history/00000002.history.wal')));
  assert.deepEqual(
    await recoverLatest(bench),
    Array.from({ length: written + 500 }, (_, i) => i + 1),
  );
  await bench.nothingLeft();
});

test('an empty folder that is seeded begins where the slot does', async () => {
  const { bench } = lab;
  const url = parsePostgresUrl(standbyUrl);
  const { signal } = new AbortController();
  await createSlot(url, 'seeded', signal);
  await onStandby('SELECT pg_switch_wal()::text AS v FROM pg_current_xact_id()');
  await onStandby('SELECT pg_switch_wal()::text AS v FROM pg_current_xact_id()');
  const { slot, segmentBytes, timeline, serverMajor } = await readServer(url, 'seeded', signal);
  const start = parseLsn(slot?.restartLsn ?? '');
  const folder = join(bench.folder, 'seeded');
  mkdirSync(folder, { mode: 0o700 });
  const spool = new StreamSpool(folder, segmentBytes);
  await spool.seed(segmentAt(timeline, start - BigInt(segmentBytes), segmentBytes));
  const receiver = await startReceiver({ url, slot: 'seeded', program: await findReceiver(serverMajor), folder });
  while ((await spool.list()).finished.filter((name) => !name.endsWith('.history')).length < 2) await sleep(50);
  await receiver.stop();
  const [before, first] = (await spool.list()).finished.filter((name) => !name.endsWith('.history'));
  // Of its timeline the control file may still tell the old one.
  const at = (name: string): string => name.slice(8);
  assert.deepEqual(
    [at(before ?? ''), at(first ?? '')],
    [at(segmentAt(timeline, start - BigInt(segmentBytes), segmentBytes)), at(segmentAt(timeline, start, segmentBytes))],
  );
  assert.equal(statSync(join(folder, before ?? '')).blocks, 0);
  rmSync(folder, { recursive: true });
});
