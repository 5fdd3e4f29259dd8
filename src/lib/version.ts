/** Which lifeboat this is, without reading more than package.json. */
import { readFileSync } from 'node:fs';

let known: string | undefined;

/** The version in package.json, e.g. "0.1.0"; the file lies one folder above src/ or dist/. */
export function programVersion(): string {
  known ??= (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string })
    .version;
  return known;
}
