import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { z } from 'zod';
import { documents, type DocumentName } from '../../src/ui/json/documents.ts';
import { runCli, type CliResult } from '../helpers/cli/run-cli.ts';

/** One repository of files, through the command line only; each test goes on where the one before has stopped. */
let cwd: string;
let env: Record<string, string>;

before(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'lifeboat-cli-'));
  await mkdir(join(cwd, 'data'));
  await writeFile(join(cwd, 'data', 'one'), 'first\n');
  env = {
    BACKUP_STATE_DIR: join(cwd, 'state'),
    BACKUP_FILES: join(cwd, 'data'),
    BACKUP_REPOSITORY: `file://${cwd}/repository`,
    PATH: '/usr/bin:/bin',
  };
});
after(() => rm(cwd, { recursive: true, force: true }));

async function cli(line: string): Promise<CliResult> {
  return runCli(line.split(' '), { cwd, env });
}

async function document<Name extends DocumentName>(
  line: string,
  name: Name,
  exitCode = 0,
): Promise<z.infer<(typeof documents)[Name]>> {
  const result = await cli(`${line} --json`);
  assert.equal(result.exitCode, exitCode, result.stdout + result.stderr);
  assert.equal(result.stdout.split('\n').length, 2, 'one document, one line');
  return documents[name].parse(JSON.parse(result.stdout)) as z.infer<(typeof documents)[Name]>;
}

test('before init: no repository is 10, and says what to run', async () => {
  const { code, hint } = await document('backup', 'error', 10);
  assert.equal(code, 'not_found');
  assert.match(hint ?? '', /lifeboat init/);
});

test('init, backup, list, show, export, keys, unlock: each document fits its schema', async () => {
  const made = await document('init', 'init');
  assert.equal(made.encrypted, true);
  const taken = await document('backup files --label first --tag a --tag b', 'backup');
  assert.ok(taken.outcome === 'done');
  assert.equal(taken.type, 'files');
  const listed = await document('list', 'list');
  assert.deepEqual(
    listed.backups.map(({ id, tags, label, trust }) => ({ id, tags, label, trust })),
    [{ id: taken.id, tags: ['a', 'b'], label: 'first', trust: 'authentic' }],
  );
  const shown = await document('show latest', 'show');
  assert.equal(shown.backup.id, taken.id);
  const exported = await document('export latest out', 'export');
  assert.equal(exported.folder, join(cwd, 'out'));
  assert.ok(exported.files.length > 0);
  assert.equal((await document('keys list', 'keys-list')).keys.length, 1);
  assert.match((await document('keys generate', 'keys-generate')).key ?? '', /^[0-9a-f]{64}$/);
  assert.deepEqual(await document('unlock', 'unlock'), { schema: 'lifeboat.unlock/v1', broken: [], alive: [] });
  assert.equal((await document('backup --dry-run', 'backup')).outcome, 'planned');
});

test('-q prints nothing on success; without it steps are plain lines and the result is on stdout', async () => {
  assert.deepEqual(await cli('backup -q'), { exitCode: 0, stdout: '', stderr: '' });
  const loud = await cli('backup');
  assert.match(loud.stdout, /backup \d{8}T\d{6}Z-main-full-[0-9a-f]{8} is stored in file:\/\//);
  assert.match(loud.stderr, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ info /);
  assert.equal((await cli('list -q')).stdout.split('\n').length, 5);
});

test('a limit of many days is one, and one that cannot be meant is refused', async () => {
  const taken = await document('backup --timeout 30d', 'backup');
  assert.ok(taken.outcome === 'done');
  for (const [line, span] of [
    ['backup --timeout 0s', /between 1\.0 s and 365d/],
    ['backup --timeout 400d', /365d/],
    ['backup --if-running=wait=400d', /365d/],
    ['wal stream --report 0s', /between 100 ms and 365d/],
  ] as const) {
    const refused = await cli(line);
    assert.equal(refused.exitCode, 2, line);
    assert.match(refused.stderr, span);
  }
});

test('done with warnings is 3, and -q tells them', async () => {
  const pipe = join(cwd, 'data', 'pipe');
  execFileSync('mkfifo', [pipe]);
  const quiet = await cli('backup -q');
  assert.equal(quiet.exitCode, 3);
  assert.equal(quiet.stdout, '');
  assert.match(quiet.stderr, /^\S+Z warn files: .*pipe/);
  const warned = await document('backup', 'backup', 3);
  assert.ok(warned.outcome === 'done');
  assert.equal(warned.warnings.length, 1);
  await rm(pipe);
});

test('an unknown id is 10 and a wrong key 12, under -q too', async () => {
  const unknown = await cli('show 2001 -q');
  assert.equal(unknown.exitCode, 10);
  assert.match(unknown.stderr, /there is no backup "2001"/);
  const wrong = await runCli(['backup', '--json'], { cwd, env: { ...env, BACKUP_ENCRYPTION_KEY: 'ab'.repeat(32) } });
  assert.equal(wrong.exitCode, 12);
  assert.equal(documents.error.parse(JSON.parse(wrong.stdout)).code, 'key');
});

test('SIGUSR1 prints a status line, SIGTERM stops the backup: 143, and no backup is listed', async () => {
  // A pipe in place of a big file would not be read: this one has holes, is read for seconds, and takes no room.
  const big = join(cwd, 'data', 'big');
  await writeFile(big, 'x');
  await truncate(big, 40 * 1024 ** 3);
  await writeFile(join(cwd, 'data', 'small'), 'y');
  const before = await document('list', 'list');
  const bin = new URL('../../bin/lifeboat.js', import.meta.url).pathname;
  const child = spawn(process.execPath, [bin, 'backup', '--json'], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  const started = new Promise<void>((resolve) =>
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      if (/ info backup /.test(stderr)) resolve();
    }),
  );
  await started;
  child.kill('SIGUSR1');
  await new Promise((resolve) => setTimeout(resolve, 700));
  child.kill('SIGTERM');
  const [exitCode] = (await once(child, 'close')) as [number | null];
  await rm(big);
  assert.equal(exitCode, 143, stdout + stderr);
  assert.equal(documents.error.parse(JSON.parse(stdout)).code, 'aborted');
  assert.match(stderr, /nothing read yet|files: read /);
  assert.deepEqual((await document('list', 'list')).backups, before.backups);
});
