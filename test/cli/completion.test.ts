/** `lifeboat completion`: the script of bash is loaded and asked; those of the others name every command and flag. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { commands } from '../../src/command-list.ts';
import { runCli } from '../helpers/cli/run-cli.ts';

async function scriptFor(shell: string): Promise<string> {
  const result = await runCli(['completion', shell]);
  assert.equal(result.exitCode, 0, result.stderr);
  return result.stdout;
}

/** What bash offers for the last of these words. */
function offered(script: string, words: readonly string[], cwd = '/'): string[] {
  const program = `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lifeboat; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-uc', program, 'bash', 'lifeboat', ...words], {
    encoding: 'utf8',
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
    .split('\n')
    .filter((line) => line !== '');
}

test('bash completes commands, their flags, commands of commands, and files', async () => {
  const script = await scriptFor('bash');
  execFileSync('bash', ['-n'], { input: script });
  assert.deepEqual(offered(script, ['re']), ['restore', 'release']);
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
