/**
 * The JavaScript of dist/, by esbuild: what a command needs comes in some twenty modules instead of hundreds, each of
 * which costs every start a look-up, a read and a link. Packages stay packages, but for the few that every command
 * loads.
 */
import { build } from 'esbuild';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { sourceEdits } from './bundle-source.ts';
import { builtinModules, zodLanguages } from './bundle-packages.ts';

/**
 * Packages that become part of dist/. Together they are hundreds of files, and nearly every command begins with them.
 * What speaks with the outside or keeps secrets (S3, servers, mail, age) is none of them: mends of those must reach a
 * host without a release of ours.
 */
const bundledPackages = ['zod', 'commander', 'jsonc-parser', 'cli-table3', 'execa', 'chalk'];

/**
 * What nearly every command loads, with all that it imports: one module of dist/. Without it esbuild would make one for
 * each set of commands that share a piece, 80 of which `list` alone would read.
 */
const loadedTogether = [
  'program.ts',
  'config/load.ts',
  'operations/open-repository.ts',
  'operations/list/list.ts',
  'ui/list-view.ts',
];

/** What became part of dist/: paths of files, from the project's root. */
export interface Bundled {
  readonly inputs: readonly string[];
}

/** Bundles src/ into `outdir`. Throws what esbuild finds wrong, after it has told it. */
export async function bundle(root: string, outdir: string): Promise<Bundled> {
  const source = join(root, 'src');
  const entries = ['cli.ts', 'index.ts', ...threads(source)].map((path) => join(source, path));
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: entries,
    outbase: source,
    outdir,
    // Flat, for sourceEdits: beside them what a module names by its own address is found.
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22.15',
    mainFields: ['module', 'main'],
    external: packagesThatStay(root).flatMap((name) => [name, `${name}/*`]),
    // Stacks are told in lines of the source, which the package does not have.
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    plugins: [
      sourceEdits(source, { together: loadedTogether, before: dynamicallyImported(source) }),
      builtinModules(),
      zodLanguages(),
    ],
  });
  return { inputs: Object.keys(metafile.inputs) };
}

function packagesThatStay(root: string): string[] {
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
    optionalDependencies: Record<string, string>;
  };
  return Object.keys({ ...dependencies, ...optionalDependencies }).filter((name) => !bundledPackages.includes(name));
}

/** Modules that run in threads of their own, by where they are started. */
function threads(source: string): string[] {
  return globSync('**/*.ts', { cwd: source }).flatMap((path) =>
    [...readFileSync(join(source, path), 'utf8').matchAll(/startThread\(import\.meta\.url, '([^']+)'\)/g)].map(
      ([, name]) => join(dirname(path), `${name}.ts`),
    ),
  );
}

/** Absolute paths of our own modules that are loaded when they are first needed. */
function dynamicallyImported(source: string): Set<string> {
  return new Set(
    globSync('**/*.ts', { cwd: source }).flatMap((path) =>
      [...readFileSync(join(source, path), 'utf8').matchAll(/import\('(\.[^']+)'\)/g)].map(([, to = '']) =>
        resolve(source, dirname(path), to),
      ),
    ),
  );
}
