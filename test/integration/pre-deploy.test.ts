/**
 * The gate before a deployment, in shells that stand for each CI: the exit code, the hold, the summary; and the command
 * that it prints, run as it stands after the migration, brings the database back as it was.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { parse } from 'yaml';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import type { CleanupResult } from '../../src/operations/cleanup/request.ts';
import type { ListResult } from '../../src/operations/list/request.ts';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { startRedis } from '../helpers/servers/redis.ts';

type Done = Extract<BackupResult, { outcome: 'done' }>;

const root = dirname(dirname(import.meta.dirname));
const example = (name: string): string => readFileSync(join(root, 'examples/ci', name), 'utf8');
const day = 86_400_000;

/** As GitHub's runner starts a step with no shell named: a file, given to bash. */
const gitHub = ['bash', '-e'];
/** As GitLab's runner does in images with bash. */
const gitLab = ['bash', '-eo', 'pipefail'];

interface Ended {
  readonly exitCode: number | null;
  readonly output: string;
}

describe('before a deployment', () => {
  let bench: Bench;
  let postgres: TestPostgres;
  let work: string;

  before(async () => {
    postgres = await startPostgres();
    bench = makeBench();
    work = join(bench.folder, 'work');
    const bin = join(bench.folder, 'bin');
    for (const each of [work, bin]) mkdirSync(each);
    symlinkSync(join(root, 'bin/lifeboat.js'), join(bin, 'lifeboat'));
    // Stands for one that finds the program among the packages of the project.
    writeFileSync(join(bin, 'npx'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
    const path = `${bin}:${postgres.binDir}:${dirname(process.execPath)}:${bench.env['PATH']}`;
    bench.env = { ...bench.env, PATH: path, DATABASE_URL: postgres.url('shop') };
    await postgres.query('postgres', 'CREATE DATABASE shop');
    await bench.json('init');
  });
  beforeEach(async () => {
    await postgres.psql(
      'shop',
      'DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE item (id int PRIMARY KEY, name text); ' +
        'INSERT INTO item SELECT n, md5(n::text) FROM generate_series(1, 500) n',
    );
  });
  after(async () => {
    await postgres?.stop();
    await bench?.[Symbol.asyncDispose]();
  });

  /** What migrations do to a database, at their worst. */
  const migrate = async (): Promise<unknown> =>
    postgres.psql(
      'shop',
      'ALTER TABLE item DROP COLUMN name; DELETE FROM item WHERE id > 3; CREATE TABLE later (n int)',
    );

  const state = async (): Promise<unknown> =>
    Promise.all([
      postgres.query('shop', 'SELECT count(*), sum(hashtextextended(item::text, 0)) FROM item'),
      postgres.query('shop', "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"),
    ]);

  async function shell(argv: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
    const [file = '', ...args] = argv;
    const child = spawn(file, args, { cwd: work, env: { ...bench.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    }
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exitCode) => resolve({ exitCode, output }));
    });
  }

  async function script(interpreter: readonly string[], text: string, env: Record<string, string>): Promise<Ended> {
    const path = join(work, 'step.sh');
    writeFileSync(path, text);
    return shell([...interpreter, path], env);
  }

  /** The gate let the deployment begin: hold and way back, which is followed. */
  async function assertGate({ exitCode, output }: Ended, label: string, summary?: string): Promise<void> {
    assert.equal(exitCode, 0, output);
    const was = await state();
    const { backups } = await bench.json<ListResult>('list --tag pre-deploy');
    const newest = backups.at(-1);
    assert.equal(newest?.label, label);
    assert.equal(newest?.hold?.reason, `before the deployment of ${label}`);
    const keptMs = Date.parse(newest?.hold?.until ?? '') - Date.now();
    assert.ok(keptMs > 13.9 * day && keptMs < 14.1 * day);
    const undo = /^ *(lifeboat restore .*)$/m.exec(summary ?? output)?.[1] ?? '';
    assert.match(undo, new RegExp(newest?.id ?? '-'));
    await migrate();
    assert.notDeepEqual(await state(), was);
    const back = await shell(['sh', '-c', undo]);
    assert.equal(back.exitCode, 0, back.output);
    assert.deepEqual(await state(), was);
  }

  /** The steps of a job after those that install. */
  const steps = (lines: readonly (string | undefined)[]): string[] =>
    lines.filter((line): line is string => line !== undefined && line !== 'npm ci' && !line.includes('migrate'));

  test('GitHub Actions', async () => {
    const { jobs } = parse(example('github-actions.yml')) as { jobs: { deploy: { steps: { run?: string }[] } } };
    const [step = '', ...more] = steps(jobs.deploy.steps.map(({ run }) => run));
    assert.deepEqual(more, []);
    const summary = join(work, 'summary.md');
    writeFileSync(summary, 'before\n');
    const env = { GITHUB_SHA: '0123456789abcdef0123', GITHUB_STEP_SUMMARY: summary };
    const ended = await script(gitHub, step, env);
    const text = readFileSync(summary, 'utf8');
    assert.match(text, /^before\n### Backup before the deployment of 0123456789ab\n/);
    await assertGate(ended, '0123456789ab', text);
  });

  test('GitLab CI', async () => {
    const file = parse(example('gitlab-ci.yml')) as { 'back-up': { script: string[]; artifacts: { paths: string[] } } };
    const lines = steps(file['back-up'].script);
    const ended = await script(gitLab, lines.join('\n'), { CI_COMMIT_SHORT_SHA: 'fedcba98' });
    const summary = readFileSync(join(work, file['back-up'].artifacts.paths[0] ?? ''), 'utf8');
    await assertGate(ended, 'fedcba98', summary);
  });

  test('npm run deploy', async () => {
    const manifest = JSON.parse(example('npm/package.json')) as { scripts: Record<string, string> };
    const scripts = { ...manifest.scripts, migrate: 'touch migrated' };
    writeFileSync(join(work, 'package.json'), JSON.stringify({ ...manifest, scripts }));
    const npm = { NODE_DISABLE_COMPILE_CACHE: '1', npm_config_update_notifier: 'false' };
    const ended = await shell(['npm', 'run', 'deploy'], npm);
    assert.ok(existsSync(join(work, 'migrated')), ended.output);
    await assertGate(ended, 'shop 1.0.0');
    rmSync(join(work, 'migrated'));
    const refused = await shell(['npm', 'run', 'deploy'], { ...npm, DATABASE_URL: 'postgres://127.0.0.1:1/shop' });
    assert.notEqual(refused.exitCode, 0);
    assert.equal(existsSync(join(work, 'migrated')), false);
  });

  test('any other shell', async () => {
    const path = join(root, 'examples/ci/backup-before-deploy.sh');
    await assertGate(await shell(['sh', path], { CI_COMMIT_SHA: 'aaaabbbbccccdddd' }), 'aaaabbbbcccc');
  });

  test('Redis and files go back too, also where there was nothing in Redis yet', async () => {
    const redis = await startRedis();
    try {
      const files = join(bench.folder, 'files');
      mkdirSync(files);
      writeFileSync(join(files, 'a'), 'before');
      const env = { REDIS_URL: redis.url(), BACKUP_FILES: files };
      const { undo } = await bench.backup('backup --pre-deploy v1', { env });
      redis.cli(['SET', 'made', 'by the deployment']);
      writeFileSync(join(files, 'a'), 'after');
      await migrate();
      const back = await shell(['sh', '-c', undo?.command ?? 'false'], env);
      assert.equal(back.exitCode, 0, back.output);
      assert.deepEqual([redis.cli(['DBSIZE']).trim(), readFileSync(join(files, 'a'), 'utf8')], ['0', 'before']);
      assert.equal((await postgres.query('shop', 'SELECT name FROM item')).length, 500);
    } finally {
      await redis.stop();
    }
  });

  test('no backup: the exit code is that of the failure, and the summary says so', async () => {
    const summary = join(work, 'failed.md');
    const env = { DATABASE_URL: 'postgres://u:geheim99@127.0.0.1:1/shop', GITHUB_STEP_SUMMARY: summary };
    const command = 'lifeboat backup --pre-deploy "<b>42</b>|x"';
    const { exitCode } = await shell(['bash', '-ec', `${command}; touch migrated`], env);
    assert.equal(exitCode, 13);
    assert.equal(existsSync(join(work, 'migrated')), false);
    const text = readFileSync(summary, 'utf8');
    assert.match(text, /^### No backup before the deployment of/);
    for (const bad of ['<b>', 'geheim99', '|']) assert.ok(!text.includes(bad), `${bad} in ${text}`);
  });

  test('a summary that cannot be written is a warning: 3, and the backup is there', async () => {
    const result = await bench.json<Done>('backup --pre-deploy v2 --summary-file /no/such/folder/x.md', {
      exitCode: 3,
    });
    assert.match(result.warnings.join(), /cannot write the summary/);
    assert.ok(bench.recorded().includes(result.id));
  });

  test('the document has the hold and the way back; --keep-days counts, and cleanup keeps it until then', async () => {
    const result = await bench.backup('backup --pre-deploy v3 --keep-days 2');
    assert.ok(Math.abs(Date.parse(result.hold?.until ?? '') - Date.now() - 2 * day) < day / 24);
    assert.equal(result.undo?.command, result.undo?.argv.join(' '));
    for (let n = 0; n < 3; n++) await bench.backup();
    const retention = { database: { keepLast: 1, minBackups: 1 } };
    const config = join(bench.folder, 'keep-one.json');
    writeFileSync(config, JSON.stringify({ retention }));
    const { backups } = await bench.json<CleanupResult>([
      'cleanup',
      '--dry-run',
      '--max-delete',
      '99',
      '--config',
      config,
    ]);
    const verdict = backups.find(({ id }) => id === result.id);
    assert.deepEqual(verdict?.reasons, ['on hold: before the deployment of v3']);
    assert.ok(backups.some(({ keep }) => !keep));
  });

  test('what would open the gate without a backup or a way back is refused', async () => {
    assertFailed(await bench.run('backup --pre-deploy v4 --if-running=skip'), 2, /would let a deployment begin/);
    assertFailed(await bench.run(['backup', '--pre-deploy', ' ']), 2, /the label is empty/);
    assertFailed(await bench.run('backup base --pre-deploy v4'), 2, /base backup/);
    assertFailed(await bench.run('backup --keep-days 3'), 2, /belongs to --pre-deploy/);
    assertFailed(await bench.run('backup --pre-deploy v4 --keep-days 3651'), 2, /too many/);
    assertFailed(await bench.run('backup --label a --pre-deploy b'), 2, /contradict/);
    await bench.nothingLeft();
  });
});
