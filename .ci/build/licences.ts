/** The licences of the packages that became part of dist/: who ships a copy ships them along. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One text of all; `inputs` are paths from the project's root. Throws where a package has none. */
export function licencesOf(root: string, inputs: readonly string[]): string {
  const folders = new Set(inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0] ?? []));
  const parts = [...folders].toSorted().map((folder) => licenceOf(join(root, folder)));
  return `Parts of these packages are part of the JavaScript in this folder.\n\n${parts.join('\n')}`;
}

function licenceOf(folder: string): string {
  const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, string>;
  const file = readdirSync(folder).find((name) => /^licen[cs]e([.-]|$)/i.test(name));
  if (file === undefined) throw new Error(`${about['name']} brings no licence that could be shipped along`);
  const title = `${about['name']} ${about['version']}`;
  return `${title}\n${'-'.repeat(title.length)}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
}
