/**
 * bin/lifeboat.js: which Node it becomes, from where, in which environment; and what it sets before any
 * other code runs. The Nodes to choose from are shell scripts that tell who they are.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

const root = dirname(dirname(import.meta.dirname));
const entry = join(root, 'bin/lifeboat.js');
const scratch = mkdtempSync(join(tmpdir(), 'entry-'));
const version = `${(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version}\n`;
after(() => rmSync(scratch, { recursive: true, force: true }));

test('runs with an empty environment, by a link, and from a folder that it may not read', () => {
  const link = join(scratch, 'lifeboat-link');
  symlinkSync(entry, link);
  symlinkSync('lifeboat-link', join(scratch, 'lifeboat'));
  for (const file of [entry, link, join(scratch, 'lifeboat')]) {
    const { stdout, stderr, status } = spawnSync(file, ['--version'], { env: {}, encoding: 'utf8' });
    assert.deepEqual({ stdout, stderr, status }, { stdout: version, stderr: '', status: 0 }, file);
  }
  const closed = fresh('closed');
  // Root may read everything, until it lays that right down.
  const mortal = process.getuid?.() === 0 ? 'setpriv --bounding-set=-dac_override,-dac_read_search --' : '';
  const { stdout, stderr, status } = spawnSync(
    '/bin/sh',
    [
      '-c',
      `cd "$1" && chmod 0 . && ! ${mortal} ls . 2>/dev/null && exec ${mortal} "$2" --version`,
      'sh',
      closed,
      entry,
    ],
    { env: {}, encoding: 'utf8' },
  );
  assert.deepEqual({ stdout, stderr, status }, { stdout: version, stderr: '', status: 0 });
});

test('says so when the working directory is gone', () => {
  const gone = join(scratch, 'gone');
  mkdirSync(gone);
  const { stderr, status } = spawnSync(
    '/bin/sh',
    ['-c', 'cd "$1" && rmdir "$1" && exec "$2" --version', 'sh', gone, entry],
    { encoding: 'utf8' },
  );
  assert.match(stderr, /the working directory does not exist any more/);
  assert.equal(status, 2);
});

test('Node takes no option of ours for one of its own: its exit codes would end a recovery', () => {
  const missing = join(scratch, 'no-such-file');
  const fetch = ['wal', 'fetch', '000000010000000000000001', join(scratch, 'out'), '--env-file', missing];
  const { stderr, status } = spawnSync(entry, fetch, { env: { HOME: scratch }, encoding: 'utf8' });
  assert.match(stderr, /^lifeboat: cannot read the environment file /);
  assert.equal(status, 200, stderr);
});

test('prefers the new Node that npm installed over the one in PATH', () => {
  const checkout = layout('checkout', { own: '24.1.0', path: true });
  assert.match(checkout(), /^own .*bin\/lifeboat\.js backup a b\|--json\n$/);
  const project = layout('project', { host: '26.0.0', path: true });
  assert.match(project(), /^host /);
});

test('leaves an old or unfinished Node of the project alone', () => {
  assert.match(layout('old', { own: '18.20.1', host: '20.0.0', path: true })(), /^path /);
  assert.match(layout('odd', { own: 'next', path: true })(), /^path /);
  assert.match(layout('none', { path: true })(), /^path /);
});

test('without a Node says what is needed, in JSON too, with exit code 16', () => {
  const folder = join(scratch, 'bare/bin');
  mkdirSync(folder, { recursive: true });
  // The same file without the places where this machine has a Node.
  const text = readFileSync(entry, 'utf8');
  const bare = text.replace(/^for prefix in .*; do$/m, 'for prefix in /nowhere; do');
  assert.notEqual(bare, text);
  writeFileSync(join(folder, 'lifeboat.js'), bare, { mode: 0o755 });
  const { stdout, stderr, status } = spawnSync(join(folder, 'lifeboat.js'), ['list', '--json'], {
    env: { PATH: '/nowhere' },
    encoding: 'utf8',
  });
  assert.equal(status, 16);
  assert.match(stderr, /Node\.js is not installed/);
  assert.deepEqual(pick(JSON.parse(stdout), ['schema', 'code', 'exitCode', 'retryable']), {
    schema: 'lifeboat.error/v1',
    code: 'tool',
    exitCode: 16,
    retryable: false,
  });
});

test('on a too old Node says what is needed, in JSON too, with exit code 16', () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [...pretending('22.14.9'), entry, '--json'], {
    encoding: 'utf8',
  });
  assert.equal(status, 16);
  assert.match(stderr, /this is Node\.js 22\.14\.9/);
  assert.deepEqual(pick(JSON.parse(stdout), ['schema', 'code', 'exitCode', 'retryable']), {
    schema: 'lifeboat.error/v1',
    code: 'tool',
    exitCode: 16,
    retryable: false,
  });
  assert.equal(
    spawnSync(process.execPath, [...pretending('22.15.0'), entry, '--version'], { encoding: 'utf8' }).stdout,
    version,
  );
});

test('is one process, with its threads set and deaf to SIGUSR1', async () => {
  // The program itself is a stand-in that waits.
  const folder = fakeCheckout(
    'running',
    `export async function run(argv) {
    const { pbkdf2 } = await import('node:crypto');
    for (let i = 0; i < 20; i += 1) pbkdf2('a', 'b', 1, 1, 'sha1', () => {});
    console.log('ready');
    await new Promise((resolve) => {
      process.on('SIGTERM', () => resolve());
      setInterval(() => {}, 1000).unref();
      setTimeout(resolve, 20000);
    });
    setTimeout(() => process.exit(), 0);
    return 143;
  }`,
  );
  const child = spawn(join(folder, 'bin/lifeboat.js'), {
    env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const { pid } = child;
  assert(pid !== undefined);
  assert.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? '', /node$/, 'the shell is gone');
  const threads = readdirSync(`/proc/${pid}/task`).map((each) =>
    readFileSync(`/proc/${pid}/task/${each}/comm`, 'utf8').trim(),
  );
  assert.equal(threads.filter((each) => each === 'libuv-worker').length, Math.max(4, availableParallelism()));
  child.kill('SIGUSR1');
  await delay(200);
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
  child.kill('SIGTERM');
  assert.equal(await ended, 143);
  assert.equal(stderr, '', 'no inspector was opened');
});

test('takes src/ in a checkout unless dist/ was built after the last change', () => {
  const folder = fakeCheckout('fresh', 'export const run = async () => { console.log("src"); return 0; };');
  const runs = (): string =>
    spawnSync(process.execPath, [join(folder, 'bin/lifeboat.js')], {
      env: { HOME: folder },
      encoding: 'utf8',
    }).stdout.trim();
  assert.equal(runs(), 'src');
  mkdirSync(join(folder, 'dist'));
  writeFileSync(join(folder, 'dist/cli.js'), 'export const run = async () => { console.log("dist"); return 0; };');
  assert.equal(runs(), 'src', 'a build that did not finish');
  writeFileSync(join(folder, 'dist/.complete'), '');
  later(join(folder, 'dist/.complete'), 10);
  assert.equal(runs(), 'dist');
  later(join(folder, 'src/deep/part.ts'), 20);
  assert.equal(runs(), 'src', 'a changed file');
  later(join(folder, 'dist/.complete'), 30);
  assert.equal(runs(), 'dist');
  rmSync(join(folder, 'src/deep/part.ts'));
  later(join(folder, 'src/deep'), 40);
  assert.equal(runs(), 'src', 'a deleted file');
  rmSync(join(folder, 'src'), { recursive: true });
  assert.equal(runs(), 'dist', 'as packed');
});

test('keeps its compile cache where nobody else can write', () => {
  const folder = fakeCheckout('caching', 'export const run = async () => 0;');
  const runsWith = (env: Record<string, string>): void => {
    const { status, stderr } = spawnSync(process.execPath, [join(folder, 'bin/lifeboat.js')], {
      env,
      encoding: 'utf8',
    });
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  };
  const home = fresh('home');
  runsWith({ HOME: home });
  const cache = join(home, '.cache/lifeboat');
  assert.equal(statSync(cache).mode & 0o777, 0o700);
  assert.notEqual(readdirSync(cache).length, 0);

  const xdg = fresh('xdg');
  runsWith({ HOME: home, XDG_CACHE_HOME: xdg });
  assert.notEqual(readdirSync(join(xdg, 'lifeboat')).length, 0);

  const temporary = fresh('temporary');
  runsWith({ TMPDIR: temporary });
  const own = join(temporary, `lifeboat-${process.getuid?.()}`);
  assert.notEqual(readdirSync(own).length, 0);

  rmSync(own, { recursive: true });
  mkdirSync(own);
  chmodSync(own, 0o777);
  runsWith({ TMPDIR: temporary });
  assert.deepEqual(readdirSync(own), [], 'others can write there');
  rmSync(own, { recursive: true });
  symlinkSync(fresh('elsewhere'), own);
  runsWith({ TMPDIR: temporary });
  assert.deepEqual(readdirSync(join(scratch, 'elsewhere')), [], 'a link is not ours');
});

test("does not leave a cache in another user's home", () => {
  const folder = fakeCheckout('sudo', 'export const run = async () => 0;');
  // Root takes a folder that is nobody's; anyone else one that is root's.
  const home = process.getuid?.() === 0 ? fresh('their-home') : '/';
  if (home !== '/') chownSync(home, 65534, 65534);
  const { status } = spawnSync(process.execPath, [join(folder, 'bin/lifeboat.js')], {
    env: { HOME: home, TMPDIR: fresh('their-tmp') },
    encoding: 'utf8',
  });
  assert.equal(status, 0);
  assert.equal(existsSync(join(home, '.cache/lifeboat')), false);
});

/** The entry in a folder with Nodes that tell who they are; returns what runs it. */
function layout(name: string, nodes: { own?: string; host?: string; path?: boolean }): () => string {
  const folder = join(scratch, name, 'node_modules/lifeboat');
  mkdirSync(join(folder, 'bin'), { recursive: true });
  copyFileSync(entry, join(folder, 'bin/lifeboat.js'));
  if (nodes.own !== undefined) fakeNode(join(folder, 'node_modules/node'), 'own', nodes.own);
  if (nodes.host !== undefined) fakeNode(join(scratch, name, 'node_modules/node'), 'host', nodes.host);
  if (nodes.path === true) fakeNode(join(scratch, name), 'path', undefined);
  mkdirSync(join(scratch, name, 'node_modules/.bin'));
  symlinkSync('../lifeboat/bin/lifeboat.js', join(scratch, name, 'node_modules/.bin/lifeboat'));
  const run = (file: string): string =>
    spawnSync(file, ['backup', 'a b|--json'], {
      cwd: join(scratch, name),
      env: { PATH: `${scratch}/${name}/bin:/usr/bin:/bin` },
      encoding: 'utf8',
    }).stdout;
  return () => {
    const direct = run(join(folder, 'bin/lifeboat.js'));
    assert.equal(run('node_modules/.bin/lifeboat').split(' ')[0], direct.split(' ')[0], 'by its link');
    return direct;
  };
}

function fakeNode(folder: string, says: string, itsVersion: string | undefined): void {
  mkdirSync(join(folder, 'bin'), { recursive: true });
  writeFileSync(join(folder, 'bin/node'), `#!/bin/sh\necho ${says} "$@"\n`, { mode: 0o755 });
  if (itsVersion !== undefined) {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'node', version: itsVersion }, undefined, 2));
  }
}

/** A checkout with the real entry and a program of the test's own. */
function fakeCheckout(name: string, program: string): string {
  const folder = fresh(name);
  mkdirSync(join(folder, 'bin'));
  mkdirSync(join(folder, 'src/deep'), { recursive: true });
  copyFileSync(entry, join(folder, 'bin/lifeboat.js'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(join(folder, 'src/cli.ts'), program);
  writeFileSync(join(folder, 'src/deep/part.ts'), '');
  return folder;
}

function fresh(name: string): string {
  const folder = join(scratch, name);
  assert.equal(existsSync(folder), false);
  mkdirSync(folder);
  return folder;
}

function later(path: string, seconds: number): void {
  const when = Date.now() / 1000 + seconds;
  utimesSync(path, when, when);
}

function pretending(itsVersion: string): string[] {
  return [
    '--import',
    `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${itsVersion}"}})`,
  ];
}

function pick(value: unknown, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value as Record<string, unknown>).filter(([key]) => keys.includes(key)));
}
