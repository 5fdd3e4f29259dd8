/**
 * What the file system refuses is an operator's error wherever a file is read or written that somebody named: it says
 * what was tried, on what and why, in plain words, and is never called a bug.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertFailed, makeBench, type Bench, type RunOptions } from '../helpers/cli/command-run.ts';

const nobody = 65534;
const wrapper = ['/usr/bin/setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'];
const denied = /permission denied/;

/** What commands name; `nobody` owns the bench, root the folder `closed`. */
interface Places {
  readonly closed: string;
  /** A path that leads in a circle. */
  readonly loop: string;
  readonly long: string;
  /** A file system that can only be read. */
  readonly readOnly: string;
  /** A file system without room. */
  readonly full: string;
}

let bench: Bench;
let places: Places;

before(async () => {
  bench = makeBench();
  const data = join(bench.folder, 'data');
  mkdirSync(data);
  writeFileSync(join(data, 'a'), randomBytes(300_000));
  bench.env = { ...bench.env, BACKUP_FILES: data };
  for (const path of [bench.folder, bench.tmp, bench.env['HOME'] ?? '', data, join(data, 'a')]) {
    chownSync(path, nobody, nobody);
  }
  chmodSync(dirname(bench.folder), 0o755);
  places = {
    closed: join(bench.folder, 'closed'),
    loop: join(bench.folder, 'loop'),
    long: join(bench.folder, 'x'.repeat(300)),
    readOnly: join(bench.folder, 'read-only'),
    full: join(bench.folder, 'full'),
  };
  mkdirSync(places.closed);
  symlinkSync('loop', places.loop);
  for (const path of [places.readOnly, places.full]) mkdirSync(path);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', places.readOnly]);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=777', 'tmpfs', places.full]);
  await bench.json('init', { wrapper });
  await bench.backup('backup', { wrapper });
});
after(async () => {
  for (const path of [places.readOnly, places.full]) execFileSync('umount', ['-l', path]);
  await bench?.[Symbol.asyncDispose]();
});

/** One clear failure in plain words: neither Node's nor a word of bugs. */
async function refused(
  line: string | readonly string[],
  exitCode: number,
  message: RegExp,
  options: RunOptions = {},
): Promise<void> {
  const result = await bench.run(line, { wrapper, ...options });
  assertFailed(result, exitCode, message, /./);
  assert.doesNotMatch(result.stderr, /a bug in lifeboat|\bE[A-Z]{4,}\b|\/\.tmp-/);
}

/** Until nothing more goes in. */
function fill(): void {
  spawnSync('dd', ['if=/dev/zero', `of=${join(places.full, 'filler')}`, 'bs=4k', 'count=100'], { stdio: 'ignore' });
}

test('init: the configuration and the key file', async () => {
  const keyless = { env: { BACKUP_ENCRYPTION_KEY: undefined, BACKUP_REPOSITORY: `file://${bench.folder}/new` } };
  const config = (folder: string): string[] => ['init', '--config', join(folder, 'lifeboat.config.json')];
  await refused(config(places.closed), 2, denied);
  await refused(config(places.closed), 2, denied, keyless);
  await refused(config(places.readOnly), 2, /mounted read-only/, { wrapper: [] });
  await refused(config(places.readOnly), 2, /mounted read-only/, { ...keyless, wrapper: [] });
  await refused(['init', '--config', places.long], 2, /the name is too long/, keyless);
  await refused(config(places.loop), 2, /symbolic links/, keyless);
  await refused(config(join(bench.folder, 'data/a')), 2, /not a folder/, keyless);
  fill();
  await refused(config(places.full), 15, /no space left/);
  await refused(config(places.full), 15, /no space left/, keyless);
  assert.ok(!existsSync(join(bench.folder, 'new')), 'no repository is made');
});

test('init tells what it made before, and goes on with it', async () => {
  const key = join(bench.folder, 'own.key');
  const env = { BACKUP_ENCRYPTION_KEY: undefined, BACKUP_REPOSITORY: `file://${bench.folder}/second` };
  const line = ['init', '--key-file', key, '--config'];
  const result = await bench.run([...line, join(places.closed, 'c.json')], { wrapper, env });
  assertFailed(result, 2, denied, /--config/);
  assert.match(result.stderr, /^state: .*own\.key was made/m);
  await bench.json([...line, join(bench.folder, 'c.json')], { wrapper, env });
});

test('init --npm-scripts', async () => {
  const folder = join(bench.folder, 'npm');
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{}');
  await refused(['init', '--npm-scripts'], 2, /cannot add scripts to .*permission denied/, { cwd: folder });
  chmodSync(join(folder, 'package.json'), 0o600);
  await refused(['init', '--npm-scripts'], 2, /cannot add scripts to .*permission denied/, { cwd: folder });
});

for (const [what, line] of [
  ['export', ['export', 'latest']],
  ['restore --to-dir', ['restore', 'latest', '--to-dir']],
] as const) {
  test(`${what}: the folder`, async () => {
    await refused([...line, join(places.closed, 'out')], 2, denied);
    await refused([...line, join(places.closed, 'deeper/out')], 2, denied);
    await refused([...line, join(places.readOnly, 'out')], 2, /mounted read-only/, { wrapper: [] });
    await refused([...line, places.long], 2, /the name is too long/);
    await refused([...line, join(places.long, 'out')], 2, /the name is too long/);
    await refused([...line, join(places.loop, 'out')], 2, /symbolic links/);
    await refused([...line, join(bench.folder, 'data/a/out')], 2, /not a folder|no folder/);
    await refused([...line, join(places.full, 'out')], 15, /no space|0 B are free/);
    assert.deepEqual(readdirSync(places.closed), []);
  });
}

test('the state folder', async () => {
  for (const line of ['backup', 'restore latest --to-dir out']) {
    const within = (folder: string): RunOptions => ({ env: { BACKUP_STATE_DIR: folder } });
    await refused(line, 2, denied, within(join(places.closed, 'state')));
    await refused(line, 2, /mounted read-only/, { ...within(join(places.readOnly, 'state')), wrapper: [] });
    await refused(line, 2, /the name is too long/, within(places.long));
    await refused(line, 2, /symbolic links/, within(join(places.loop, 'state')));
    await refused(line, 2, /not a folder/, within(join(bench.folder, 'data/a/state')));
  }
});

test('the temporary folder', async () => {
  const env = { TMPDIR: places.closed };
  await refused('backup', 2, /scratch folder .*permission denied/, { env });
});

test('the configuration, an environment file, a key file', async () => {
  const closed = join(places.closed, 'secret');
  writeFileSync(closed, 'X=1', { mode: 0o600 });
  for (const flag of ['--config', '--env-file']) {
    await refused(['list', flag, closed], 2, denied);
    await refused(['list', flag, places.closed], 2, /it is a folder/);
    await refused(['list', flag, places.loop], 2, /symbolic links/);
    await refused(['list', flag, places.long], 2, /the name is too long/);
    await refused(['list', flag, join(bench.folder, 'none')], 2, /no such file or folder/);
  }
  const env = { BACKUP_ENCRYPTION_KEY: undefined, BACKUP_ENCRYPTION_KEY_FILE: closed };
  await refused('list', 2, denied, { env });
});

test('keys generate --file', async () => {
  const line = (folder: string): string[] => ['keys', 'generate', '--file', join(folder, 'key')];
  await refused(line(places.closed), 2, denied);
  await refused(line(places.readOnly), 2, /mounted read-only/, { wrapper: [] });
  await refused(line(places.loop), 2, /symbolic links/);
  await refused(line(places.long), 2, /the name is too long/);
  fill();
  await refused(line(places.full), 15, /no space left/);
});

test('emergency-restore --plan-out, and --plan that cannot be read', async () => {
  const line = ['emergency-restore', 'restore', '--plan-out'];
  await refused([...line, join(places.closed, 'plan')], 2, denied);
  await refused([...line, places.long], 2, /the name is too long/);
  await refused([...line, join(bench.folder, 'data/a')], 2, /it exists already/);
  fill();
  await refused([...line, join(places.full, 'plan')], 15, /no space left/);
});
