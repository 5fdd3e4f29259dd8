/** What dist/ was built from, as a short text: times of files say less (a checkout or a copy may bring older ones). */
import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** SHA-256 (hex) of all files that a build reads, names included; packages by package-lock.json. */
export function digestOfSources(root: string): string {
  const paths = ['package.json', 'package-lock.json', ...globSync(['src/**/*', '.ci/build/*'], { cwd: root })];
  const hash = createHash('sha256').update(process.version);
  for (const path of paths.toSorted()) {
    const content = contentOf(join(root, path));
    if (content !== undefined) hash.update(`\0${path}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/** Undefined of folders. */
function contentOf(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EISDIR') return undefined;
    throw error;
  }
}
