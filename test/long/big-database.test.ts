/**
 * A database of over 1 GB: backed up while it is written to and restored equal, on every kind of repository;
 * stored again for little when little has changed; and all of it in bounded memory.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { openLifeboat } from '../../src/index.ts';
import { formatBytes } from '../../src/lib/units.ts';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import type { RestoreResult } from '../../src/operations/restore/request.ts';
import { installBuilt, runMeasured, type MeasuredRun } from '../helpers/cli/built-program.ts';
import { dumpDigest } from '../helpers/source/dump-digest.ts';
import { assertSameText } from '../helpers/source/dump-text.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { startS3Server } from '../helpers/servers/rgw.ts';
import { createSampleDatabase, startWriter } from '../helpers/source/sample-database.ts';

const work = mkdtempSync(join(tmpdir(), 'big-'));
const key = 'ab'.repeat(32);
let server: TestPostgres;

before(async () => {
  server = await startPostgres({ settings: { shared_buffers: '512MB', maintenance_work_mem: '128MB' } });
  await createSampleDatabase(server, 'big', { sizeBytes: 1.1e9 });
  await createSampleDatabase(server, 'small', { sizeBytes: 1.1e8 });
  const [row] = await server.query('big', "SELECT pg_database_size('big') AS big, pg_database_size('small') AS small");
  assert.ok(Number(row?.['big']) > 1e9, `${row?.['big']} bytes`);
  assert.ok(Number(row?.['small']) < Number(row?.['big']) / 8, `${row?.['small']} bytes`);
});
after(async () => {
  await server?.stop();
  rmSync(work, { recursive: true, force: true });
});

/** Last values by name, as text. */
async function sequences(database: string): Promise<Map<string, number>> {
  const rows = await server.query(
    database,
    "SELECT schemaname || '.' || sequencename AS name, coalesce(last_value, start_value) AS value FROM pg_sequences",
  );
  return new Map(rows.map(({ name, value }) => [name ?? '', Number(value)]));
}

interface Combination {
  readonly jobs: number;
  readonly encryption: object;
  readonly repository: object;
}

/**
 * Fingerprints were equal; the sample has a table without columns and a materialized view, of which only rows are
 * counted.
 */
function assertVerified(result: RestoreResult): void {
  assert.ok(result.outcome === 'done');
  assert.deepEqual(
    result.components.map(({ verified }) => verified !== 'not-checked'),
    [true],
  );
}

/** Backs up under writes, restores, compares every row and definition with the snapshot. */
async function provesEqual(t: TestContext, name: string, { jobs, encryption, repository }: Combination): Promise<void> {
  const restored = `restored_${name}`;
  await using lifeboat = await openLifeboat({
    config: {
      repository,
      encryption,
      jobs,
      stateDir: join(work, `${name}-state`),
      targets: { main: { postgres: { url: server.url('big'), databases: ['big'] } } },
    },
    env: {},
    cwd: work,
  });
  await lifeboat.init();
  const atFirst = await sequences('big');
  const writer = await startWriter(server, 'big');
  let source: Promise<string> | undefined;
  let changes = 0;
  let taken: BackupResult;
  try {
    using _ = lifeboat.on('snapshot', ({ snapshot }) => {
      source = dumpDigest(server, 'big', [`--snapshot=${snapshot}`]);
      source.catch(() => {});
    });
    taken = await lifeboat.backup();
  } finally {
    changes = await writer.stop();
  }
  assert.ok(taken.outcome === 'done');
  assert.deepEqual(taken.warnings, []);
  assert.ok(changes > 2, 'it was written to meanwhile');
  const atLast = await sequences('big');
  const result = await lifeboat.restore({ id: taken.id, postgres: { toDatabase: restored } });
  assert.ok(result.outcome === 'done');
  assertVerified(result);
  assertSameText(await dumpDigest(server, restored), (await source) ?? 'no snapshot was told');
  for (const [sequence, value] of await sequences(restored)) {
    const [low, high] = [atFirst.get(sequence) ?? Number.NaN, atLast.get(sequence) ?? Number.NaN];
    assert.ok(
      value >= Math.min(low, high) && value <= Math.max(low, high),
      `${sequence} is ${value}, not from ${low} to ${high}`,
    );
  }
  const read = taken.components.reduce((sum, { readBytes }) => sum + readBytes, 0);
  t.diagnostic(
    `${name}: ${formatBytes(read)} backed up in ${(taken.durationMs / 1000).toFixed(1)} s while ${changes} rounds ` +
      `of changes were written, restored in ${(result.durationMs / 1000).toFixed(1)} s`,
  );
  await server.query('postgres', `DROP DATABASE ${restored}`);
}

const encrypted = { key };
const plain = { enabled: false };

test('over 1 GB, written to meanwhile: local, encrypted, 4 jobs: equal', async (t) => {
  await provesEqual(t, 'one', { jobs: 4, encryption: encrypted, repository: { url: `file://${join(work, 'one')}` } });
  rmSync(join(work, 'one'), { recursive: true });
});

test('over 1 GB, written to meanwhile: local, not encrypted, 1 job: equal', async (t) => {
  await provesEqual(t, 'two', { jobs: 1, encryption: plain, repository: { url: `file://${join(work, 'two')}` } });
  rmSync(join(work, 'two'), { recursive: true });
});

test('over 1 GB, written to meanwhile: S3, encrypted with 1 job and not with 4: equal', async (t) => {
  const s3 = await startS3Server();
  try {
    for (const [name, jobs, encryption] of [
      ['three', 1, encrypted],
      ['four', 4, plain],
    ] as const) {
      const bucket = await s3.makeBucket();
      await provesEqual(t, name, {
        jobs,
        encryption,
        repository: {
          url: `s3://${bucket}`,
          endpoint: s3.endpoint,
          pathStyle: true,
          accessKey: s3.accessKey,
          secretKey: s3.secretKey,
        },
      });
    }
  } finally {
    await s3.stop();
  }
});

function envFor(name: string, database: string): Record<string, string> {
  const folder = join(work, name);
  for (const each of ['tmp', 'home']) mkdirSync(join(folder, each), { recursive: true });
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: join(folder, 'home'),
    TMPDIR: join(folder, 'tmp'),
    BACKUP_STATE_DIR: join(folder, 'state'),
    BACKUP_REPOSITORY: `file://${join(folder, 'repository')}`,
    BACKUP_ENCRYPTION_KEY: key,
    BACKUP_JOBS: '2',
    DATABASE_URL: server.url(database),
  };
}

function storedBy({ document }: MeasuredRun): number {
  const result = document as BackupResult;
  assert.ok(result.outcome === 'done');
  return result.components.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
}

test('as shipped, 2 jobs: at most 300 MiB, as for a tenth of it; a second one stores what changed', async (t) => {
  const program = installBuilt(join(work, 'package'));
  const peaks = new Map<string, number>();
  const run = async (what: string, args: readonly string[], env: Record<string, string>): Promise<MeasuredRun> => {
    const measured = await runMeasured(program, args, env);
    peaks.set(what, measured.peakBytes);
    t.diagnostic(`${what}: peak ${formatBytes(measured.peakBytes)}, ${(measured.durationMs / 1000).toFixed(1)} s`);
    return measured;
  };
  let first = 0;
  for (const size of ['small', 'big']) {
    const env = envFor(size, size);
    await run(`init ${size}`, ['init'], env);
    first = storedBy(await run(`backup ${size}`, ['backup'], env));
    const { document } = await run(`restore ${size}`, ['restore', 'latest', '--to-database', `${size}_again`], env);
    assertVerified(document as RestoreResult);
    await server.query('postgres', `DROP DATABASE ${size}_again`);
  }
  const env = envFor('big', 'big');
  const unchanged = storedBy(await run('backup big, unchanged', ['backup'], env));
  await server.psql(
    'big',
    `
    WITH bounds AS (SELECT min(id) AS low, max(id) AS high, count(*) AS rows FROM app.events)
    UPDATE app.events SET body = 'changed: ' || body, amount = amount + 1 FROM bounds
      WHERE id >= (low + high) / 2 AND id < (low + high) / 2 + rows / 100;
    INSERT INTO app.events (customer_id, kind, body, amount)
      SELECT customer_id, kind, 'appended ' || md5(id::text) || body, amount FROM app.events
      WHERE id <= (SELECT min(id) + count(*) / 100 FROM app.events)`,
  );
  const changed = storedBy(await run('backup big, 1 % changed and 1 % appended', ['backup'], env));
  t.diagnostic(
    `stored: first ${formatBytes(first)}, unchanged ${formatBytes(unchanged)} (${percent(unchanged, first)}), ` +
      `changed ${formatBytes(changed)} (${percent(changed, first)})`,
  );
  assert.ok(unchanged < first * 0.005, `unchanged: ${unchanged} of ${first}`);
  assert.ok(changed < first * 0.1, `changed: ${changed} of ${first}`);
  for (const act of ['backup', 'restore']) {
    const [big, small] = [peaks.get(`${act} big`) ?? 0, peaks.get(`${act} small`) ?? 0];
    assert.ok(big > 0 && big <= 300 * 1024 * 1024, `${act}: ${formatBytes(big)}`);
    assert.ok(big <= small * 1.1, `${act}: ${formatBytes(big)}, for a tenth of it ${formatBytes(small)}`);
  }
});

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(2)} %`;
}
