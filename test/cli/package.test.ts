/**
 * The package as its users get it: built and packed from a copy of the checkout (a dist/ in the checkout
 * itself would change what the tests beside this one run), installed from the tarball into an empty
 * project, run there, imported there, and type-checked there.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';

const root = dirname(dirname(import.meta.dirname));
const scratch = mkdtempSync(join(tmpdir(), 'package-'));
const project = join(scratch, 'project');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
let packed: readonly string[] = [];

after(() => rmSync(scratch, { recursive: true, force: true }));

before(() => {
  const checkout = join(scratch, 'checkout');
  mkdirSync(checkout);
  const left = /\/(node_modules|dist|dist\.new|\.git|test\/(?!setup\.js))/;
  cpSync(root, checkout, { recursive: true, filter: (path) => !left.test(path.slice(root.length)) });
  symlinkSync(realpathSync(join(root, 'node_modules')), join(checkout, 'node_modules'));
  const [tarball] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', scratch], checkout)) as [
    { filename: string; files: { path: string }[] },
  ];
  packed = tarball.files.map(({ path }) => path);

  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }\n');
  run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', join(scratch, tarball.filename)], project);
});

test('holds what its users need, and nothing that only its developers do', () => {
  for (const path of [
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    'bin/lifeboat.js',
    'dist/cli.js',
    'dist/LICENSES',
    'dist/index.js',
    'dist/index.d.ts',
    'dist/repository/rescue/rescue.mjs',
    'man/lifeboat.1',
  ]) {
    assert.ok(packed.includes(path), `${path} is not in the package`);
  }
  const foreign = packed.filter(
    (path) => !/^(bin\/|dist\/|man\/|examples\/|package\.json$|LICENSE$|README\.md$|CHANGELOG\.md$)/.test(path),
  );
  assert.deepEqual(foreign, []);
  assert.deepEqual(
    packed.filter((path) => /(?<!\.d)\.ts$/.test(path) && !path.startsWith('examples/')),
    [],
  );
});

test('runs where it was installed, by npx and by its own path', () => {
  assert.equal(run('npx', ['--no-install', 'lifeboat', '--version'], project), `${version}\n`);
  const { stdout, stderr, status } = spawnSync(join(project, 'node_modules/.bin/lifeboat'), ['--help'], {
    cwd: '/',
    env: { PATH: dirname(process.execPath) + ':/usr/bin:/bin' },
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^Usage: lifeboat/);
  accessSync(join(project, 'node_modules/lifeboat/bin/lifeboat.js'), constants.X_OK);
});

test('tells a stack in lines of the source, which it does not bring', () => {
  const { stderr, status } = spawnSync(
    join(project, 'node_modules/.bin/lifeboat'),
    ['list', '--debug', '--config', '/no/such/file'],
    { cwd: project, env: environment(), encoding: 'utf8' },
  );
  assert.equal(status, 2, stderr);
  const [, file = '', line = ''] = /at \w+ \(file:\/\/\S+\/(src\/\S+\.ts):(\d+):\d+\)/.exec(stderr) ?? [];
  const text = readFileSync(join(root, file), 'utf8').split('\n')[Number(line) - 1];
  assert.match(text ?? '', /new LifeboatError\(/, stderr);
  assert.doesNotMatch(stderr, /lifeboat\/dist\//, stderr);
});

test('brings the licence of each package that is a part of its bundles', () => {
  const licences = readFileSync(join(project, 'node_modules/lifeboat/dist/LICENSES'), 'utf8');
  for (const name of ['zod', 'commander', 'execa', 'emoji-regex']) {
    assert.match(licences, new RegExp(`^${name} [0-9.]+$`, 'm'));
  }
});

test('installs no Node, linter or compiler with it', () => {
  for (const name of ['node', 'oxlint', 'typescript']) {
    assert.equal(existsSync(join(project, 'node_modules', name)), false, name);
  }
});

test('is a library with types of its own', () => {
  mkdirSync(join(project, 'node_modules/@types'), { recursive: true });
  for (const name of ['@types/node', 'undici-types']) {
    if (!existsSync(join(project, 'node_modules', name))) {
      symlinkSync(realpathSync(join(root, 'node_modules', name)), join(project, 'node_modules', name));
    }
  }
  writeFileSync(
    join(project, 'use.ts'),
    `import { openLifeboat } from 'lifeboat';
type IsAny<T> = 0 extends 1 & T ? true : false;
export const isAny: IsAny<typeof openLifeboat> = false;
export const isAnyOfResult: IsAny<ReturnType<typeof openLifeboat>> = false;
// @ts-expect-error -- not a number
export const wrong: number = openLifeboat;
console.log(typeof openLifeboat);
`,
  );
  const compilerOptions = {
    target: 'es2024',
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    types: ['node'],
  };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }));
  run(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], project);
  assert.equal(run(process.execPath, ['use.js'], project), 'function\n');
});

test('its declarations resolve: skipLibCheck would hide it', () => {
  const compilerOptions = {
    target: 'es2024',
    lib: ['es2024', 'dom', 'dom.asynciterable', 'esnext'],
    module: 'nodenext',
    strict: true,
    skipLibCheck: false,
    noEmit: true,
    types: ['node'],
  };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }));
  const { stdout } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', '.', '--pretty', 'false'], {
    cwd: project,
    env: environment(),
    encoding: 'utf8',
  });
  // What other packages' declarations lack is theirs.
  assert.deepEqual(
    stdout.split('\n').filter((line) => line.startsWith('node_modules/lifeboat/')),
    [],
  );
});

/** Runs a program to its end and returns what it printed; fails with all that it said. */
function run(file: string, args: readonly string[], cwd: string): string {
  const { stdout, stderr, status, error } = spawnSync(file, args, {
    cwd,
    env: environment(),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  assert.equal(status, 0, `${file} ${args.join(' ')}: ${error?.message ?? ''}\n${stdout}\n${stderr}`);
  return stdout;
}

/** Without what an outer npm run has set for itself; with the current Node first in PATH. */
function environment(): NodeJS.ProcessEnv {
  const outer = /^npm_(package|lifecycle|command|execpath|node_execpath|config_(local_prefix|prefix|global_prefix))/;
  const kept = Object.entries(process.env).filter(([name]) => !outer.test(name));
  return { ...Object.fromEntries(kept), PATH: `${dirname(process.execPath)}:${process.env['PATH']}` };
}
