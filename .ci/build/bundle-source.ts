/** What is changed in our own modules when they are bundled. */
import type { Plugin } from 'esbuild';
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Modules (below src/) that are loaded together, before any of those that are named by absolute path. */
export interface Together {
  readonly together: readonly string[];
  readonly before: ReadonlySet<string>;
}

const name = 'lifeboat:together';

/**
 * - import.meta.url: a module's address is the one that it would have beside its source: bundles lie in dist/ itself.
 * - modules of `before` import those that are loaded together, so that these have the same users, and are one bundle.
 * - zod as a namespace, of which only what is used is taken along.
 */
export function sourceEdits(source: string, { together, before }: Together): Plugin {
  return {
    name: 'source-edits',
    setup: (build) => {
      build.onResolve({ filter: new RegExp(`^${name}$`) }, () => ({ path: name, namespace: name }));
      build.onLoad({ filter: /.*/, namespace: name }, () => ({
        contents: together.map((path) => `import ${JSON.stringify(join(source, path))};`).join('\n'),
        resolveDir: source,
      }));
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (!path.startsWith(`${source}/`)) return undefined;
        const own = JSON.stringify(relative(source, path).replace(/\.ts$/, '.js'));
        const text = readFileSync(path, 'utf8')
          .replaceAll('import.meta.url', `new URL(${own}, import.meta.url).href`)
          .replaceAll("import { z } from 'zod'", "import * as z from 'zod'");
        return { contents: before.has(path) ? `${text}\nimport '${name}';\n` : text, loader: 'ts' };
      });
    },
  };
}
