/**
 * How fast is it, against public tools in the same run? Prints medians and the ratio of each pair; the
 * marks are what this project wants to reach. `npm run bench -- --size 200` (MB of sample database,
 * default 1100), `--rounds 3`, `--segments 100`, `--only wal,base` (of dump, start, wal, base).
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createSampleDatabase } from '../helpers/source/sample-database.ts';
import { startPostgres } from '../helpers/servers/postgres.ts';
import { benchBase } from './base.ts';
import { median, pair, ratio, run, type Command, type Timing } from './measure.ts';
import { mark, mb, print } from './report.ts';
import { benchWal } from './wal.ts';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '1100' },
    rounds: { type: 'string', default: '3' },
    segments: { type: 'string', default: '100' },
    only: { type: 'string', default: 'dump,start,wal,base' },
  },
});
const rounds = Number(values.rounds);
const parts = values.only.split(',');
const program = fileURLToPath(new URL('../../bin/lifeboat.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'lifeboat-bench-'));
const repository = join(folder, 'repository');
const server = await startPostgres();
const env: Record<string, string> = {
  PATH: `${server.binDir}:${process.env['PATH'] ?? ''}`,
  HOME: folder,
  ...server.env,
  DATABASE_URL: server.url('app'),
  BACKUP_REPOSITORY: `file://${repository}`,
  BACKUP_STATE_DIR: join(folder, 'state'),
  BACKUP_ENCRYPTION_KEY: 'ab'.repeat(32),
  BACKUP_JOBS: '2',
};

try {
  process.stdout.write(
    `lifeboat bench: ${values.size} MB sample database, ${rounds} rounds, ${availableParallelism()} cores; ` +
      'encrypted, zstd 3\n\n',
  );
  if (parts.includes('dump')) await dumps();
  if (parts.includes('start')) await starts();
  if (parts.includes('wal')) await benchWal({ rounds, segments: Number(values.segments) });
  if (parts.includes('base')) await benchBase({ rounds, sizeBytes: Number(values.size) * 1e6 });
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function dumps(): Promise<void> {
  await createSampleDatabase(server, 'app', { sizeBytes: Number(values.size) * 1e6 });
  await server.psql('app', 'VACUUM ANALYZE; CHECKPOINT;');
  await backups();
  await again();
  await restores();
}

async function backups(): Promise<void> {
  const lifeboat: Command = {
    name: 'lifeboat backup',
    line: `${program} backup database -q`,
    prepare: freshRepository,
  };
  const dump: Command = { name: 'pg_dump -Fc', line: `pg_dump -Fc app > ${folder}/app.dump` };
  const zstd: Command = {
    name: 'pg_dump -Fc -Z0 | zstd -3',
    line: `pg_dump -Fc -Z0 app | zstd -3 -q > ${folder}/app.zst`,
  };
  const [ours, plain, piped] = (await pair([lifeboat, dump, zstd], rounds, env)) as [Timing, Timing, Timing];
  print('backup', [ours, plain, piped]);
  mark('backup / pg_dump -Fc', ratio(ours, plain), 0.4);
  mark('backup / pg_dump -Fc -Z0 | zstd -3', ratio(ours, piped), 1.15);
  const bytes = await storedBytes();
  process.stdout.write(
    `  stored: lifeboat ${mb(bytes)}, pg_dump -Fc ${mb(statSync(join(folder, 'app.dump')).size)}, zstd -3 ` +
      `${mb(statSync(join(folder, 'app.zst')).size)}\n\n`,
  );
}

/** What a second backup costs: unchanged, one contiguous per cent changed, the same share of rows at random. */
async function again(): Promise<void> {
  const first = await storedBytes();
  const cases = [
    ['unchanged', 'SELECT 1'],
    [
      '1 % of the rows updated in one stretch',
      "UPDATE app.events SET body = body || ' changed' WHERE id <= (SELECT max(id) / 100 FROM app.events)",
    ],
    [
      '0.1 % of the rows updated at random (defeats any chunk store)',
      "UPDATE app.events SET body = body || ' again' WHERE id % 1000 = 7",
    ],
  ] as const;
  process.stdout.write('second backup\n');
  for (const [name, sql] of cases) {
    await server.psql('app', sql);
    const { components } = JSON.parse(await run(`${program} backup database --json -q`, env)) as {
      components: { storedBytes: number }[];
    };
    const stored = components.reduce((sum, { storedBytes: each }) => sum + each, 0);
    process.stdout.write(`  ${name}: ${mb(stored)} stored, ${((100 * stored) / first).toFixed(2)} % of the first\n`);
  }
  process.stdout.write('\n');
}

async function restores(): Promise<void> {
  const drop = (name: string) => async () => void (await server.psql('postgres', `DROP DATABASE IF EXISTS ${name};`));
  await freshRepository();
  await run(`${program} backup database -q`, env);
  const results: string[] = [];
  const ours: Command = {
    name: 'lifeboat restore (verification and ANALYZE included)',
    line:
      `${program} restore latest --only database --to-database ours ` +
      `--json --debug 2>${folder}/restore.log >/dev/null`,
    prepare: drop('ours'),
  };
  const theirs: Command = {
    name: 'pg_restore -j 4 of a local file',
    line: `createdb -T template0 theirs && pg_restore -j 4 -d theirs ${folder}/app.dump`,
    prepare: drop('theirs'),
  };
  const [lifeboat, tool] = (await pair([ours, theirs], rounds, env)) as [Timing, Timing];
  print('restore', [lifeboat, tool]);
  const apart = await verifySeconds();
  results.push(`verification and ANALYZE, timed apart: ${apart.toFixed(1)} s`);
  mark(
    'restore without them / pg_restore -j 4',
    (median(lifeboat.secondsEach) - apart) / median(tool.secondsEach),
    1.15,
  );
  process.stdout.write(`  ${results.join('\n  ')}\n\n`);
}

/** From the timing lines of the last restore's log. */
async function verifySeconds(): Promise<number> {
  const log = await run(`cat ${folder}/restore.log`, env);
  return [...log.matchAll(/\b(?:verify|analyze)\b[^\n]*?([\d.]+) s/g)].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
}

async function starts(): Promise<void> {
  await freshRepository();
  const version: Command = { name: 'lifeboat --version', line: `${program} --version` };
  const list: Command = { name: 'lifeboat list', line: `${program} list` };
  const node: Command = { name: 'node -e 0', line: `${process.execPath} -e 0` };
  const timings = (await pair([version, list, node], Math.max(10, rounds), env)) as [Timing, Timing, Timing];
  print('start-up', timings);
  mark('lifeboat list / node -e 0', ratio(timings[1], timings[2]), 4);
}

async function freshRepository(): Promise<void> {
  rmSync(repository, { recursive: true, force: true });
  rmSync(join(folder, 'state'), { recursive: true, force: true });
  rmSync(join(folder, 'lifeboat.config.json'), { force: true });
  await run(`cd ${folder} && ${program} init -q --config ${folder}/lifeboat.config.json`, env);
}

async function storedBytes(): Promise<number> {
  return Number((await run(`du -sb ${repository} | cut -f1`, env)).trim());
}
