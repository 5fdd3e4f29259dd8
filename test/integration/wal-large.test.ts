/** A cluster whose segments are too large for one object (64 MB): pushed, fetched, verified, recovered. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { validate } from '../../src/operations/validate/validate.ts';
import { walStatus } from '../../src/operations/wal/status.ts';
import { quiet, startPitrCluster, type PitrCluster } from '../helpers/cluster/pitr-cluster.ts';
import { keptSegments, mib, walCli } from '../helpers/cluster/wal-server.ts';

let cluster: PitrCluster;
let rows: string;

before(async () => {
  cluster = await startPitrCluster({ segmentMegabytes: 64, settings: { max_wal_size: '1GB' } });
  const { server } = cluster;
  await server.query('postgres', 'CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n');
  await cluster.base();
  await server.query('postgres', 'INSERT INTO t SELECT n, md5(n::text) FROM generate_series(20001, 30000) n');
  await cluster.archived();
  rows = (await server.psql('postgres', 'SELECT count(*), sum(hashtext(t::text)) FROM t')).trim();
});
after(async () => cluster?.[Symbol.asyncDispose]());

test('each segment is there, in parts, and comes back as it was', async () => {
  const { server, systemId, home } = cluster;
  const segments = keptSegments(server);
  assert.ok(segments.length >= 2);
  const [system] = (await walStatus(cluster.loaded, {}, quiet)).systems;
  assert.deepEqual([system?.segmentBytes, system?.gaps], [64 * mib, []]);
  const stored = readdirSync(join(home, 'repository/wal'), { recursive: true, encoding: 'utf8' });
  // Switched early: what was never written is not stored.
  const parts = stored.filter((name) => name.includes('.part')).length;
  assert.ok(parts >= segments.length && parts < 4 * segments.length, `${parts} parts`);
  for (const name of segments.slice(-2)) {
    const path = join(home, 'fetched');
    const { exitCode, stderr } = await walCli(cluster, ['fetch', name, path, '--system-id', systemId]);
    assert.equal(exitCode, 0, stderr);
    assert.ok(readFileSync(path).equals(readFileSync(join(server.dataDir, 'pg_wal', name))), name);
  }
});

test('a recovery replays them', async () => {
  const found = await cluster.recovered('immediate', async (connection) =>
    connection.query('SELECT count(*) AS n FROM public.t'),
  );
  assert.equal(found[0]?.['n'], '20000');
  const dataDir = cluster.folder('recovered');
  const done = await cluster.run('latest', { dataDir, action: 'shutdown' });
  assert.equal(done.outcome, 'done');
  assert.match(rows, /^30000/);
});

test('validate reads them; a part that is lost is named at every level', async () => {
  const check = async (level: 'quick' | 'stored' | 'deep'): Promise<string[]> =>
    (await validate(cluster.loaded, { ids: [], all: true, level }, quiet)).damaged.map(
      ({ object, problem }) => `${object} ${problem}`,
    );
  for (const level of ['quick', 'deep'] as const) assert.deepEqual(await check(level), []);
  const root = join(cluster.home, 'repository/wal');
  const last = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.part00.wal'))
    .toSorted()
    .at(-1);
  rmSync(join(root, last ?? ''));
  for (const level of ['quick', 'stored'] as const) {
    assert.match((await check(level)).join(), /^wal\/\S+ .*its part wal\/\S+\.part00\.wal is missing$/);
  }
});
