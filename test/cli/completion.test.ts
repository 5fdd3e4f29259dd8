/** `lifeboat completion`: the script of bash is loaded and asked; those of the others name every command and flag. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { commands } from '../../src/command-list.ts';
import { makeBench } from '../helpers/cli/command-run.ts';
import { runCli } from '../helpers/cli/run-cli.ts';

async function scriptFor(shell: string): Promise<string> {
  const result = await runCli(['completion', shell]);
  assert.equal(result.exitCode, 0, result.stderr);
  return result.stdout;
}

/** What bash offers for the last of these words. */
function offered(script: string, words: readonly string[], cwd = '/', env = process.env): string[] {
  const program = `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lifeboat; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-uc', program, 'bash', 'lifeboat', ...words], {
    encoding: 'utf8',
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
    .split('\n')
    .filter((line) => line !== '');
}

test('bash completes commands, their flags, commands of commands, and files', async () => {
  const script = await scriptFor('bash');
  execFileSync('bash', ['-n'], { input: script });
  assert.deepEqual(offered(script, ['re']), ['restore', 'release', 'report']);
  assert.deepEqual(
    offered(script, ['']).filter((word) => !word.startsWith('-')),
    commands.map(({ name }) => name),
  );
  assert.deepEqual(offered(script, ['--target', 'restore', 'back']), ['backup'], "a flag's value is no command");
  assert.deepEqual(
    offered(script, ['keys', '']).filter((word) => !word.startsWith('-')),
    ['generate', 'list', 'add', 'remove', 'rotate'],
  );
  assert.deepEqual(offered(script, ['--json', 'keys', 'add', '--rec']), ['--recipient']);
  assert.deepEqual(offered(script, ['backup', '--jo']), ['--jobs']);
  assert.deepEqual(offered(script, ['backup', '--jobs', '']), []);
  assert.deepEqual(offered(script, ['list', '--jobs']), [], 'a flag of another command');
  const folder = mkdtempSync(join(tmpdir(), 'completion-'));
  try {
    writeFileSync(join(folder, 'my config.json'), '');
    assert.deepEqual(offered(script, ['list', '--config', 'my'], folder), ['my config.json']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('ids of backups and schedules, targets and channels are offered; what fails offers nothing', async () => {
  await using bench = makeBench();
  const bin = join(bench.folder, 'bin');
  mkdirSync(bin);
  symlinkSync(join(import.meta.dirname, '../../bin/lifeboat.js'), join(bin, 'lifeboat'));
  const configuration = {
    targets: { main: { files: { paths: [bin] } }, other: { files: { paths: [bin] } } },
    schedules: [{ id: 'nightly', type: 'files', cronExpression: '0 2 * * *', options: { target: 'main' } }],
    notifications: { channels: { team: { type: 'command', command: ['true'] } } },
  };
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify(configuration));
  await bench.json('init');
  const older = await bench.backup('backup --target main');
  const newer = await bench.backup('backup --target main');
  // Whoever writes to the repository may name an object as he likes.
  for (const name of ['$(touch hacked).json', '-rf.json', 'a b;c.json']) {
    writeFileSync(join(bench.repository, 'manifests', name), '{}');
  }
  const env = { ...bench.env, PATH: `${bin}:${bench.env['PATH']}` };
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { stdout } = await bench.run(`completion ${shell} --names backups`);
    assert.equal(stdout, `${newer.id}\n${older.id}\n`);
  }
  const script = await scriptFor('bash');
  const ask = (words: readonly string[], more: object = {}): string[] =>
    offered(script, words, bench.folder, { ...env, ...more }).toSorted();
  assert.deepEqual(ask(['restore', '']), [older.id, newer.id].toSorted());
  assert.deepEqual(ask(['validate', older.id, newer.id.slice(0, 12)]).length, 2);
  assert.deepEqual(ask(['schedule', 'run', 'ni']), ['nightly']);
  assert.deepEqual(ask(['backup', '--target', '']), ['main', 'other']);
  assert.deepEqual(ask(['notify', 'test', '']), ['team']);
  assert.ok(ask(['restore', '--to-d']).includes('--to-dir'));
  assert.deepEqual(ask(['restore', ''], { BACKUP_REPOSITORY: 'file:///nowhere' }), []);
  assert.deepEqual(ask(['restore', ''], { BACKUP_REPOSITORY: 'nonsense' }), []);
  assert.equal(existsSync(join(bench.folder, 'hacked')), false);
});

test('every shell gets every command and flag', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const script = await scriptFor(shell);
    for (const { name } of commands) assert.match(script, new RegExp(`\\b${name}\\b`), `${shell}: ${name}`);
    for (const flag of ['recipient', 'dry-run', 'env-file']) {
      assert.match(script, new RegExp(shell === 'fish' ? `-l ${flag}\\b` : `--${flag}\\b`), `${shell}: ${flag}`);
    }
  }
});

test('another shell is refused with the nearest one', async () => {
  const result = await runCli(['completion', 'bsh']);
  assert.equal(result.exitCode, 2);
  assert.match(result.stderr, /did you mean "bash"/);
});
