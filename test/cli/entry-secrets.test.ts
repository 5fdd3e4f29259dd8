/** Secrets of the environment are in none that others can read, nor in a core file; and root's PATH is its own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { names } from '../../src/config/names.ts';
import { runTool } from '../../src/lib/exec.ts';
import { searchPath } from '../../src/lib/search-path.ts';

const entry = join(dirname(dirname(import.meta.dirname)), 'bin/lifeboat.js');
const folder = mkdtempSync(join(tmpdir(), 'secrets-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('a secret of the environment is known to the run, and not in /proc/<pid>/environ', () => {
  const told = join(folder, 'told');
  // The command of another secret looks at the process that runs it.
  const script =
    `{ tr '\\0' '\\n' </proc/$PPID/environ; grep -i core /proc/$PPID/limits; ls /proc/self/fd; } >${told}; ` +
    'printf %s redis://127.0.0.1:1';
  const config = join(folder, 'lifeboat.config.json');
  const redis = { url: { command: ['/bin/sh', '-c', script] } };
  writeFileSync(config, JSON.stringify({ targets: { main: { redis, files: { paths: [folder] } } } }));
  const secret = `a$b \`c\` "d" 'e' \\f ${'0'.repeat(5000)}`;
  const env = {
    PATH: process.env['PATH'],
    HOME: folder,
    BACKUP_STATE_DIR: join(folder, 'state'),
    BACKUP_REPOSITORY: `file://${folder}/repository`,
    BACKUP_ENCRYPTION_PASSPHRASE: secret,
    PGPASSWORD: 'of-postgres',
    // As a configuration may name them; the last one is of two lines, which only look like more.
    SHOP_DB_PASSWORD: 'of-postgres',
    SHOP_URL: 'postgres://a:of-postgres@h/d',
    BACKUP_S3_SECRET_KEY: 'of-postgres',
    secrets: 'plain',
    TEXT: 'one\nexport HOME=two',
  };
  const run = (...words: string[]) => spawnSync(entry, words, { env, cwd: folder, encoding: 'utf8' });
  const made = run('init', '--config', config);
  assert.equal(made.status, 0, made.stderr);
  // Redis is not there, and the passphrase was the right one all the same.
  run('backup', '--config', config);
  const text = readFileSync(told, 'utf8');
  assert.match(text, /^HOME=/m);
  assert.doesNotMatch(text, /PASSPHRASE|PGPASSWORD|of-postgres|SHOP_/);
  assert.match(text, new RegExp(`^HOME=${folder}$`, 'm'));
  assert.match(text, /Max core file size +0 /);
  assert.doesNotMatch(text, /^9$/m, 'what they came by is closed');
  const listed = run('list', '--config', config);
  assert.equal(listed.status, 0, listed.stderr);
});

test('root takes programs only from folders where nobody else can put one', () => {
  const theirs = join(folder, 'theirs');
  mkdirSync(theirs);
  chownSync(theirs, 65534, 65534);
  const shared = join(folder, 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o777);
  assert.equal(searchPath(`${theirs}:.::${shared}:/usr/bin:/nonexistent`), '/usr/bin');
});

test('no secret of the environment, whatever it is called, comes to a program that lifeboat starts', async () => {
  const names = ['SHOP_DB_PASSWORD', 'BACKUP_ENCRYPTION_KEY', 'AWS_SECRET_ACCESS_KEY', 'PGPASSWORD', 'ANYTHING'];
  for (const name of names) process.env[name] = 'of nobody else';
  try {
    const { stdout } = await runTool({ file: '/usr/bin/env', args: [] });
    assert.match(stdout, /^PATH=/m);
    assert.doesNotMatch(stdout, /of nobody else/);
  } finally {
    for (const name of names) delete process.env[name];
  }
});

test('each secret that a variable is known for goes the way of the others', () => {
  const shell = readFileSync(entry, 'utf8');
  const patterns = /^ +(BACKUP_REPOSITORY \| .*)\) ;;$/m.exec(shell)?.[1]?.split(' | ') ?? [];
  const known = names.flatMap((each) => (each.kind === 'secret' ? [each.name, ...each.aliases] : []));
  assert.ok(known.length > 10);
  for (const name of known) {
    assert.ok(
      patterns.some((pattern) => name.includes(pattern.replaceAll('*', ''))),
      name,
    );
  }
});
