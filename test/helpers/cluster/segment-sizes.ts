/**
 * A cluster with segments of some size, in every way that its log takes: what was pushed and what was streamed is the
 * server's own log byte for byte, a segment that was switched early costs what was written, and a recovery from the
 * stream's repository holds the rows of its moment.
 */
import assert from 'node:assert/strict';
import { createReadStream, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createHash } from 'node:crypto';
import { loadConfig, type LoadedConfig } from '../../../src/config/load.ts';
import { backup } from '../../../src/operations/backup/backup.ts';
import { pitr } from '../../../src/operations/pitr/pitr.ts';
import { AbortedError } from '../../../src/lib/errors.ts';
import { validate } from '../../../src/operations/validate/validate.ts';
import { walFetch } from '../../../src/operations/wal/fetch.ts';
import { walStreamDefaults } from '../../../src/operations/wal/request.ts';
import { walStatus } from '../../../src/operations/wal/status.ts';
import { walStream } from '../../../src/operations/wal/stream/stream.ts';
import { formatMicroseconds } from '../../../src/operations/pitr/moment.ts';
import { parsePostgresUrl } from '../../../src/config/postgres-url-parser.ts';
import { segmentName } from '../../../src/source/postgres/wal/file-name.ts';
import { parseLsn } from '../../../src/source/postgres/wal/lsn.ts';
import { withConnection } from '../../../src/source/postgres/server/connection.ts';
import { namesBelow } from '../cli/command-run.ts';
import { runCli } from '../cli/run-cli.ts';
import { endProcess, quiet, startPitrCluster, type PitrCluster } from './pitr-cluster.ts';
import { mib, rawKey } from './wal-server.ts';

export async function everySegmentWay(segmentMegabytes: number): Promise<void> {
  const settings = { max_wal_size: `${4 * Math.max(segmentMegabytes, 64)}MB`, wal_keep_size: '1GB' };
  await using cluster = await startPitrCluster({ segmentMegabytes, settings });
  await everyWay(cluster, segmentMegabytes);
}

async function everyWay(cluster: PitrCluster, segmentMegabytes: number): Promise<void> {
  const { server } = cluster;
  const streamed = await otherRepository(cluster);
  await using stream = startStream(streamed);
  await server.query('postgres', 'CREATE TABLE t AS SELECT n, md5(n::text) AS word FROM generate_series(1, 5000) n');
  await stream.reached(await positionOf(cluster));
  const base = await backup(
    streamed,
    { components: ['base'], tags: [], ifRunning: { action: 'fail' }, dryRun: false },
    quiet,
  );
  assert.equal(base.outcome, 'done');
  const atUs = await insert(cluster, 5001, 9000);
  await insert(cluster, 9001, 9500);
  // More than a part, so that full ones are there before their segment.
  await server.query('postgres', `SELECT pg_logical_emit_message(true, 'x', repeat(md5(random()::text), 1310720))`);
  const lsn = await positionOf(cluster);
  const name = segmentName(1, parseLsn(lsn) / BigInt(segmentMegabytes * mib), segmentMegabytes * mib);
  await stream.reached(lsn);

  await recover(streamed, cluster, formatMicroseconds(atUs), 9000);
  await asFarAsItCame(streamed, cluster, name, Number(parseLsn(lsn) % BigInt(segmentMegabytes * mib)));

  await cluster.archived();
  await stream.reached(await positionOf(cluster));
  const path = join(server.dataDir, 'pg_wal', name);
  for (const loaded of [cluster.loaded, streamed]) {
    const fetched = await fetchFrom(loaded, cluster, name);
    assert.equal(await sumOf(fetched), await sumOf(path), name);
    assert.equal(statSync(fetched).size, segmentMegabytes * mib);
    const objects = namesBelow(walFolder(loaded)).filter((each) => each.includes(name));
    const stored = objects.reduce((sum, each) => sum + statSync(join(walFolder(loaded), each)).size, 0);
    assert.ok(stored < 60 * mib && objects.length <= 5, `${objects.length} objects of ${stored} bytes`);
    assert.deepEqual(
      objects.filter((each) => /\.[0-9A-F]{16}\.partial/.test(each)),
      [],
    );
    const [system] = (await walStatus(loaded, {}, quiet)).systems;
    assert.deepEqual([system?.segmentBytes, system?.gaps], [segmentMegabytes * mib, []]);
  }
  const { damaged } = await validate(streamed, { ids: [], all: true, level: 'deep' }, quiet);
  assert.deepEqual(damaged, []);
}

interface RunningStream extends AsyncDisposable {
  /** Waits until all before a position is in the repository. */
  reached(lsn: string): Promise<void>;
}

function startStream(loaded: LoadedConfig): RunningStream {
  const stop = new AbortController();
  let shippedLsn: string | undefined;
  let failure: Error | undefined;
  const request = {
    ...walStreamDefaults,
    createSlot: true,
    intervalMs: 300,
    reportMs: 100,
    confirm: async () => Promise.resolve(),
    report: (report: { readonly shippedLsn?: string | undefined }): void => {
      shippedLsn = report.shippedLsn ?? shippedLsn;
    },
  };
  const running = walStream(loaded, request, { signal: stop.signal, emit: () => {} });
  running.catch((error: Error) => (failure = error));
  return {
    reached: async (lsn) => {
      // What ends in zeros ends earlier by what is stored of it: a record's last bytes, a page's bare header.
      while (shippedLsn === undefined || parseLsn(shippedLsn) + 64n < parseLsn(lsn)) {
        if (failure !== undefined) throw failure;
        await sleep(100);
      }
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort(new AbortedError('SIGTERM'));
      await running.catch(() => {});
    },
  };
}

/** The same cluster as a target of a repository of its own, which gets no pushed log. */
async function otherRepository({ server, home }: PitrCluster): Promise<LoadedConfig> {
  // A receiver writes by path: nobody else may exchange what is there.
  const stateDir = mkdtempSync(join(tmpdir(), 'stream-state-'));
  after(() => rmSync(stateDir, { recursive: true, force: true }));
  const document = {
    repository: `file://${home}/streamed`,
    targets: { main: { postgres: { url: server.url(), databases: ['postgres'], base: {} } } },
  };
  const env = { BACKUP_STATE_DIR: stateDir, BACKUP_ENCRYPTION_KEY: rawKey, BACKUP_REPOSITORY: document.repository };
  // It writes its configuration where it is called.
  const { exitCode, stderr } = await runCli(['init', '--quiet'], { env, cwd: stateDir });
  assert.equal(exitCode, 0, stderr);
  const need = { repository: true, encryption: true, targets: 'all' } as const;
  return loadConfig({ cwd: home, env, document, need });
}

/** Inserts rows in one transaction; when it was committed, microseconds since 1970. */
async function insert({ server }: PitrCluster, from: number, to: number): Promise<bigint> {
  await server.query('postgres', `INSERT INTO t SELECT n, md5(n::text) FROM generate_series(${from}, ${to}) n`);
  const [row] = await server.query(
    'postgres',
    'SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint AS us FROM t ' +
      'ORDER BY n DESC LIMIT 1',
  );
  return BigInt(row?.['us'] ?? 0);
}

async function recover(loaded: LoadedConfig, cluster: PitrCluster, to: string, rows: number): Promise<void> {
  const dataDir = cluster.folder('recovered');
  const options = { to, inclusive: true, action: 'pause', check: false, dryRun: false, dataDir } as const;
  const checked = await pitr(loaded, { ...options, check: true, dataDir: undefined }, quiet);
  assert.ok(checked.outcome === 'planned' && (checked.checked ?? 0) > 0);
  const done = await pitr(loaded, options, quiet);
  assert.ok(done.outcome === 'done' && done.url !== undefined && done.pid !== undefined);
  const url = parsePostgresUrl(done.url);
  try {
    const sql = 'SELECT count(*) AS n, sum(hashtext(t::text)) AS sum FROM public.t';
    const wanted = await cluster.server.query('postgres', `${sql} WHERE n <= ${rows}`);
    const found = await withConnection(url, {}, async (connection) => connection.query(sql));
    assert.deepEqual({ ...found[0] }, { ...wanted[0] });
  } finally {
    await endProcess(done.pid);
    for (const path of [parsePostgresUrl(url).host, dataDir]) rmSync(path, { recursive: true });
  }
}

/** What the stream had of a segment is the beginning of the server's; full parts of it lie where they stay. */
async function asFarAsItCame(loaded: LoadedConfig, cluster: PitrCluster, name: string, bytes: number): Promise<void> {
  const names = namesBelow(walFolder(loaded)).filter((each) => each.includes(name));
  if (bytes > 32 * mib) {
    assert.ok(
      names.some((each) => each.endsWith(`${name}.part01.wal`)),
      names.join(),
    );
    assert.equal(names.filter((each) => /\.[0-9A-F]{16}\.partial\.part0\d\.wal$/.test(each)).length, 1);
  }
  const path = await fetchFrom(loaded, cluster, name);
  const heads = [path, join(cluster.server.dataDir, 'pg_wal', name)].map((each) => {
    const head = Buffer.alloc(bytes);
    assert.equal(readSync(openSync(each, 'r'), head, 0, bytes, 0), bytes);
    return head;
  });
  assert.ok(heads[0]?.equals(heads[1] ?? Buffer.alloc(0)));
}

async function fetchFrom(loaded: LoadedConfig, { home, systemId }: PitrCluster, name: string): Promise<string> {
  const path = join(mkdtempSync(join(home, 'fetched-')), name);
  const { outcome } = await walFetch(loaded, { name, path, systemId, standby: false, force: false, cwd: home }, quiet);
  assert.equal(outcome, 'delivered');
  return path;
}

async function positionOf({ server }: PitrCluster): Promise<string> {
  const [row] = await server.query('postgres', 'SELECT pg_current_wal_flush_lsn() AS lsn');
  return row?.['lsn'] ?? '';
}

async function sumOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function walFolder({ config }: LoadedConfig): string {
  const { repository } = config;
  assert.ok(repository?.kind === 'local');
  return join(repository.path, 'wal');
}
