/**
 * Builds dist/ from src/: JavaScript by esbuild, type declarations by tsc, beside them what is no TypeScript.
 * Into a folder aside, which takes dist/'s place when it is complete; the stamp in it tells
 * bin/lifeboat.js of what time it is, and holds a digest of what it was built from.
 *
 *   node .ci/build/build.ts [--program]
 *
 * With --program only what commands need, unless that is there: test runs begin with it.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  globSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { bundle } from './bundle.ts';
import { digestOfSources } from './digest.ts';
import { licencesOf } from './licences.ts';

const root = dirname(dirname(import.meta.dirname));
const fresh = join(root, 'dist.new');
const former = join(root, 'dist.new.former');
const stamp = '.complete';
const keptMs = 3_600_000;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const programOnly = args.includes('--program');
  // Changes that are made meanwhile are newer than the build.
  const beganAt = new Date();
  const digest = digestOfSources(root);
  if (programOnly && isThere(digest)) {
    // What was built is what would be built, whatever the times of the files say.
    utimesSync(join(root, 'dist', stamp), beganAt, beganAt);
    return 0;
  }
  rmSync(fresh, { recursive: true, force: true });
  const problem = (programOnly ? undefined : declare()) ?? (await build());
  if (problem !== undefined) return fail(problem);
  writeFileSync(join(fresh, stamp), digest);
  utimesSync(join(fresh, stamp), beganAt, beganAt);
  if (programOnly) keepForRunning();
  rmSync(former, { recursive: true, force: true });
  if (existsSync(join(root, 'dist'))) renameSync(join(root, 'dist'), former);
  renameSync(fresh, join(root, 'dist'));
  rmSync(former, { recursive: true, force: true });
  return 0;
}

/** Commands of another test run may be about to load a module of the former build; its name says what is in it. */
function keepForRunning(): void {
  for (const name of globSync('*-*.js', { cwd: join(root, 'dist') })) {
    const path = join(root, 'dist', name);
    if (existsSync(join(fresh, name)) || Date.now() - statSync(path).mtimeMs > keptMs) continue;
    linkSync(path, join(fresh, name));
  }
}

function isThere(digest: string): boolean {
  try {
    return readFileSync(join(root, 'dist', stamp), 'utf8') === digest;
  } catch {
    return false;
  }
}

/** What is wrong with the types, if anything. */
function declare(): string | undefined {
  const tsc = spawnSync(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', fresh],
    { cwd: root, stdio: ['ignore', 2, 2] },
  );
  if (tsc.status !== 0) return 'tsc found errors: see above';
  rewriteDeclarations();
  return undefined;
}

/** What is wrong with the JavaScript, if anything. */
async function build(): Promise<string | undefined> {
  const bundled = await bundle(root, fresh).catch(() => undefined);
  if (bundled === undefined) return 'esbuild found errors: see above';
  writeFileSync(join(fresh, 'LICENSES'), licencesOf(root, bundled.inputs));
  for (const file of globSync('**/*', { cwd: join(root, 'src'), withFileTypes: true })) {
    if (!file.isFile() || file.name.endsWith('.ts')) continue;
    const from = join(file.parentPath, file.name);
    const to = join(fresh, from.slice(join(root, 'src').length));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
  }
  return misplaced();
}

/** tsc leaves the extension in declarations as it was; other tools than tsc do not find those. */
function rewriteDeclarations(): void {
  for (const file of globSync('**/*.d.ts', { cwd: fresh })) {
    const path = join(fresh, file);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replaceAll(/((?:from |import\()["']\.{1,2}\/[^"']+)\.ts(["'])/g, '$1.js$2'));
  }
}

/** Strings that name sources, which are not there, and addresses that hold only in dist/ itself. */
function misplaced(): string | undefined {
  const found = globSync('**/*.js', { cwd: fresh }).flatMap((file) => {
    const lines = readFileSync(join(fresh, file), 'utf8').split('\n');
    return lines.flatMap((line, index) =>
      /['"`]\.{1,2}\/[^'"`]*(?<!\.d)\.ts['"`]/.test(line) || (file.includes('/') && line.includes('import.meta'))
        ? [`${file}:${index + 1}: ${line.trim()}`]
        : [],
    );
  });
  if (found.length === 0) return undefined;
  return (
    'these name TypeScript files, which the package does not have (take the extension from import.meta.url), or ' +
    `use import.meta.url in a thread's own module:\n${found.join('\n')}`
  );
}

function fail(message: string): number {
  console.error(`build: ${message}`);
  rmSync(fresh, { recursive: true, force: true });
  return 1;
}
