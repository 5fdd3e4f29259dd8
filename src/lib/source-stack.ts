/** Stacks in lines of the source, where the program runs from the bundles of dist/; only a stack that is told costs. */
import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Of src/ or dist/. A message may name any file: only ours are looked at. */
const home = new URL('..', import.meta.url).href;

/** The stack with each place in a bundle replaced by the one in src/; places without a map stay. */
export function sourceStack(stack: string): string {
  const maps = new Map<string, SourceMap | undefined>();
  return stack.replaceAll(
    /(file:\/\/[\w%./+-]+\.js):(\d+):(\d+)/g,
    (place, url: string, line: string, column: string) => {
      if (!maps.has(url)) maps.set(url, mapOf(url));
      const found = maps.get(url)?.findEntry(Number(line) - 1, Number(column) - 1);
      if (found === undefined || !('originalSource' in found)) return place;
      return `${new URL(found.originalSource, url).href}:${found.originalLine + 1}:${found.originalColumn + 1}`;
    },
  );
}

function mapOf(url: string): SourceMap | undefined {
  if (!url.startsWith(home) || url.includes('..')) return undefined;
  try {
    const text = readFileSync(`${fileURLToPath(url)}.map`, 'utf8');
    return new SourceMap(JSON.parse(text) as ConstructorParameters<typeof SourceMap>[0]);
  } catch {
    // A module that has none, or a damaged installation: then the bundle's place must do.
    return undefined;
  }
}
