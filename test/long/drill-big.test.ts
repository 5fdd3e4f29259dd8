/**
 * A drill of a database of 1 GB, a Redis of 200,000 keys and 10,000 files: everything compared, its evidence and
 * durations kept, and the machine left as it was.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ShowResult } from '../../src/operations/list/request.ts';
import type { StatusResult } from '../../src/operations/status/request.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { fillMany, startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import { createSampleDatabase } from '../helpers/source/sample-database.ts';
import type { DrillResult } from '../../src/operations/drill/request.ts';

const keys = 200_000;
const files = 10_000;
let postgres: TestPostgres;
let redis: TestRedis;
let bench: Bench;

before(async () => {
  [postgres, redis] = await Promise.all([startPostgres({ settings: { shared_buffers: '512MB' } }), startRedis()]);
  await createSampleDatabase(postgres, 'big', { sizeBytes: 1.1e9 });
  const [row] = await postgres.query('big', "SELECT pg_database_size('big') AS bytes");
  assert.ok(Number(row?.['bytes']) > 1e9, `${row?.['bytes']} bytes`);
  fillMany(redis, keys);
  bench = makeBench({ DATABASE_URL: postgres.url('big'), REDIS_URL: redis.url() });
  // The throwaway server's user must get there: then everything lies where nothingLeft() looks.
  chmodSync(bench.folder, 0o755);
  chmodSync(bench.tmp, 0o1777);
  const tree = join(bench.folder, 'tree');
  for (let n = 0; n < files; n++) {
    const folder = join(tree, `d${n % 100}`);
    if (n < 100) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `f${n}`), `file ${n} `.repeat(n % 500), { mode: n % 3 === 0 ? 0o640 : 0o600 });
  }
  bench.env = { ...bench.env, BACKUP_FILES: tree };
  await bench.json('init');
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([postgres?.stop(), redis?.stop()]);
});

/** What a server may leave: processes of the bench (nothingLeft() looks at them), shared memory, folders. */
function traces(): unknown {
  const segments = execFileSync('ipcs', ['-m'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.startsWith('0x'))
    .map((line) => line.split(/\s+/)[1]);
  return {
    segments: segments.filter((id) => isOurs(id ?? '')),
    folders: readdirSync('/var/tmp').filter((name) => name.startsWith('lifeboat-pg-')),
    tmp: readdirSync(bench.tmp),
  };
}

/** Other tests' servers come and go: only segments whose maker is gone are left-overs. */
function isOurs(id: string): boolean {
  const line = readFileSync('/proc/sysvipc/shm', 'utf8')
    .split('\n')
    .map((each) => each.trim().split(/\s+/))
    .find((fields) => fields[1] === id);
  return line !== undefined && line[6] === '0';
}

test('is proven, and nothing of the drill stays', async (t) => {
  const { id, durationMs } = await bench.backup();
  const before = traces();
  const started = performance.now();
  const { backups } = await bench.json<DrillResult>('integrity --drill');
  t.diagnostic(
    `backup ${Math.round(durationMs / 1000)} s, drill ${Math.round((performance.now() - started) / 1000)} s`,
  );
  const [drilled] = backups;
  assert.deepEqual([drilled?.id, drilled?.result], [id, 'proven']);
  for (const { name, steps } of drilled?.components ?? []) {
    t.diagnostic(`${name}: ${steps.map((step) => `${step.name} ${step.durationMs} ms`).join(', ')}`);
  }
  const counts = Object.assign({}, ...(drilled?.components ?? []).map((component) => component.counts)) as Record<
    string,
    number
  >;
  assert.deepEqual([counts['keys'], counts['files']], [keys, files]);
  assert.ok((counts['rows'] ?? 0) > 3_000_000 && (counts['fingerprints'] ?? 0) > 60);
  assert.deepEqual(traces(), before);
  await bench.nothingLeft();

  const { evidence } = await bench.json<ShowResult>(`show ${id}`);
  const [kept] = evidence;
  assert.deepEqual([evidence.length, kept?.level, kept?.result, kept?.object], [1, 'drill', 'ok', drilled?.evidence]);
  assert.ok((kept?.bytes ?? 0) > 500_000_000);
  const { targets } = await bench.json<StatusResult>('status', { exitCode: (await bench.run('status')).exitCode });
  assert.deepEqual([targets[0]?.restoreTime?.basis, targets[0]?.restoreTime?.ofBackup], ['measured', id]);
});
