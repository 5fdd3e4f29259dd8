/** The search_path that a database itself sets, with which its functions find what they name without a schema. */
import type { DatabaseFacts } from './facts.ts';

/** ALTER DATABASE … SET search_path, else PostgreSQL's own default. */
export function searchPathOf({ settings }: Pick<DatabaseFacts, 'settings'>): string {
  return settings.find(({ role, name }) => role === undefined && name === 'search_path')?.value ?? '"$user", public';
}

/** `"$user", public` → `$user`, `public`; for every setting that is a list of names. */
export function namesInList(value: string): string[] {
  return [...value.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,"\s]+))\s*(?:,|$)/g)].map(([, quoted, plain]) =>
    quoted === undefined ? (plain ?? '') : quoted.replaceAll('""', '"'),
  );
}
