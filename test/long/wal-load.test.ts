/**
 * archive_command onto a real S3 server under a load that makes 2 GB of log, with the S3 server stopped for a minute in
 * the middle: all of it arrives, without a gap. Then recoveries of it: with the S3 server stopped on the way, and
 * whole.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import { runTool, startTool } from '../../src/lib/exec.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
import { readWal } from '../../src/repository/wal/archive.ts';
import { parseLsn } from '../../src/source/postgres/wal/lsn.ts';
import { segmentName, segmentNumber } from '../../src/source/postgres/wal/file-name.ts';
import { withConnection } from '../../src/source/postgres/server/connection.ts';
import { endProcess, quiet, startPitrCluster, type PitrCluster } from '../helpers/cluster/pitr-cluster.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';
import { keptSegments, mib } from '../helpers/cluster/wal-server.ts';

const segmentBytes = 16 * mib;
const logBytes = 2n * 1024n ** 3n;
const outageMs = 60_000;
let s3: TestS3Server;
let cluster: PitrCluster;

before(async () => {
  s3 = await startS3Server();
  const repository = {
    url: `s3://${await s3.makeBucket()}/main`,
    region: 'us-east-1',
    endpoint: s3.endpoint,
    pathStyle: true,
    accessKey: s3.accessKey,
    secretKey: s3.secretKey,
  };
  cluster = await startPitrCluster({
    segmentMegabytes: 16,
    repository,
    settings: { checkpoint_timeout: '30s', max_wal_size: '512MB' },
  });
});
after(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await s3?.stop();
});

async function value(sql: string): Promise<string> {
  return (await cluster.server.query('postgres', sql))[0]?.['v'] ?? '';
}

const books =
  "SELECT (SELECT sum(abalance) FROM public.pgbench_accounts) || ' ' || (SELECT sum(tbalance) FROM " +
  "public.pgbench_tellers) || ' ' || (SELECT count(*) || ' ' || sum(delta) FROM public.pgbench_history) || ' ' || " +
  "(SELECT count(*) || ' ' || sum(length(v)) FROM public.bulk) AS v";

test('2 GB of log under load, S3 gone for a minute: all of it arrives, gap-free and equal', async () => {
  const { server } = cluster;
  await runTool({ file: join(server.binDir, 'pgbench'), args: ['-i', '-q', '-s', '5', 'postgres'], env: server.env });
  await server.query(
    'postgres',
    'CREATE TABLE bulk AS SELECT n, repeat(md5((n % 100)::text), 12) AS v FROM generate_series(1, 30000) n',
  );
  await cluster.base();
  const start = parseLsn(await value('SELECT pg_current_wal_insert_lsn() AS v'));
  const written = async (): Promise<bigint> => parseLsn(await value('SELECT pg_current_wal_insert_lsn() AS v')) - start;
  const bench = await startTool({
    file: join(server.binDir, 'pgbench'),
    args: ['-n', '-c', '2', '-T', '3600', 'postgres'],
    env: server.env,
    okExitCodes: [0, 1, 2],
  });
  bench.result.catch(() => {});
  let outage: Promise<void> | undefined;
  for (let n = 0; (await written()) < logBytes; n++) {
    if (outage === undefined && (await written()) > logBytes / 3n) outage = stopS3();
    await server.query('postgres', `UPDATE bulk SET v = v WHERE n % 2 = ${n % 2}`);
    if (n % 20 === 0) await server.query('postgres', 'VACUUM bulk');
  }
  bench.kill('SIGINT');
  await bench.result.catch(() => {});
  await outage;
  await cluster.archived();
  const stat = (await server.query('postgres', 'SELECT archived_count, failed_count FROM pg_stat_archiver'))[0];
  assert.ok(Number(stat?.['failed_count']) > 0, 'the outage was not noticed');
  const kept = keptSegments(server);
  const first = segmentNumber(kept[0] ?? '', segmentBytes);
  assert.deepEqual(
    kept,
    kept.map((_, n) => segmentName(1, first + BigInt(n), segmentBytes)),
    'the server itself passed one over',
  );
  assert.ok(BigInt(kept.length) * BigInt(segmentBytes) >= logBytes);
  await withRepository(cluster.loaded, quiet, async (repository) => {
    for (const name of kept) {
      assert.ok(
        (await readWal(repository, cluster.systemId, name)).equals(readFileSync(join(server.dataDir, 'pg_wal', name))),
        `${name} differs`,
      );
    }
  });
});

async function stopS3(): Promise<void> {
  await s3.killGateway();
  await sleep(outageMs);
  await s3.startGateway();
}

test(
  'S3 stops during a recovery: it ends with an error of the storage ' +
    'and leaves nothing; once S3 is back it reaches the end',
  async () => {
    const dataDir = cluster.folder('stopped');
    const recovery = cluster.run('latest', { dataDir, action: 'shutdown' });
    recovery.catch(() => {});
    // Replay has begun, and far from all is fetched.
    while (!existsSync(join(dataDir, 'postmaster.pid'))) await Promise.race([sleep(20), recovery]);
    await s3.killGateway();
    await assert.rejects(recovery, (error) =>
      error instanceof LifeboatError && error.code === 'storage' ? true : assert.fail(String(error)),
    );
    assert.deepEqual(readdirSync(dataDir), []);
    await s3.startGateway();
    const wanted = await value(books);
    const last = await cluster.run('latest', { dryRun: true });
    assert.ok(last.outcome === 'planned' && last.segments.count >= 128);
    const point = cluster.folder('whole');
    const done = await cluster.run('latest', { dataDir: point, action: 'promote' });
    assert.ok(done.outcome === 'done' && done.url !== undefined && done.pid !== undefined);
    const url = parsePostgresUrl(done.url);
    try {
      assert.equal((await withConnection(url, {}, async (connection) => connection.query(books)))[0]?.['v'], wanted);
    } finally {
      await endProcess(done.pid);
      rmSync(parsePostgresUrl(url).host, { recursive: true });
    }
  },
);
