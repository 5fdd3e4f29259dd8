/**
 * Builds dist/ from src/: JavaScript and type declarations by tsc, beside them what is no TypeScript.
 * Into a folder aside, which takes dist/'s place when it is complete; the stamp in it tells
 * bin/lifeboat.js of what time it is.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

const root = dirname(dirname(import.meta.dirname));
const fresh = join(root, 'dist.new');

process.exitCode = build();

function build(): number {
  // Changes made while tsc runs are newer than the build.
  const beganAt = new Date();
  rmSync(fresh, { recursive: true, force: true });
  const tsc = spawnSync(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', fresh],
    { cwd: root, stdio: ['ignore', 2, 2] },
  );
  if (tsc.status !== 0) return fail('tsc found errors: see above');
  for (const file of globSync('**/*', { cwd: join(root, 'src'), withFileTypes: true })) {
    if (!file.isFile() || file.name.endsWith('.ts')) continue;
    const from = join(file.parentPath, file.name);
    const to = join(fresh, from.slice(join(root, 'src').length));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
  }
  rewriteDeclarations();
  const forgotten = namesOfSources();
  if (forgotten.length > 0) {
    return fail(
      'these name TypeScript files, which the package does not have (take the extension from ' +
        `import.meta.url):\n${forgotten.join('\n')}`,
    );
  }
  writeFileSync(join(fresh, '.complete'), '');
  utimesSync(join(fresh, '.complete'), beganAt, beganAt);
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  renameSync(fresh, join(root, 'dist'));
  return 0;
}

/** tsc leaves the extension in declarations as it was; other tools than tsc do not find those. */
function rewriteDeclarations(): void {
  for (const file of globSync('**/*.d.ts', { cwd: fresh })) {
    const path = join(fresh, file);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replaceAll(/((?:from |import\()["']\.{1,2}\/[^"']+)\.ts(["'])/g, '$1.js$2'));
  }
}

/** tsc rewrites the extension in imports, but not in other strings, e.g. the address of a worker. */
function namesOfSources(): string[] {
  return globSync('**/*.js', { cwd: fresh }).flatMap((file) => {
    const lines = readFileSync(join(fresh, file), 'utf8').split('\n');
    return lines.flatMap((line, index) =>
      /['"`]\.{1,2}\/[^'"`]*(?<!\.d)\.ts['"`]/.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [],
    );
  });
}

function fail(message: string): number {
  console.error(`build: ${message}`);
  rmSync(fresh, { recursive: true, force: true });
  return 1;
}
