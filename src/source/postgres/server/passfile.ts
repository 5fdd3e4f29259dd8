/** Passwords from a .pgpass file, by libpq's rules: host:port:database:user:password, `*` matches all, `\` escapes. */
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { PostgresUrl } from './url.ts';

/** The URL's own password, else that of its passfile or of ~/.pgpass; undefined when none fits. */
export async function findPassword(url: PostgresUrl, database: string): Promise<string | undefined> {
  if (url.password !== undefined) return url.password;
  const path = url.parameters.get('passfile') ?? join(homedir(), '.pgpass');
  const text = await readPrivately(path);
  // A socket folder matches "localhost", as libpq has it.
  const wanted = [
    [url.host, ...(url.host.startsWith('/') ? ['localhost'] : [])],
    [String(url.port)],
    [database],
    [url.user],
  ];
  for (const line of text.split('\n')) {
    const fields = fieldsOf(line);
    if (fields.length === 5 && wanted.every((values, i) => fields[i] === '*' || values.includes(fields[i] ?? ''))) {
      return fields[4];
    }
  }
  return undefined;
}

/** Like libpq, passes over a file that others may read. */
async function readPrivately(path: string): Promise<string> {
  try {
    return ((await stat(path)).mode & 0o077) === 0 ? await readFile(path, 'utf8') : '';
  } catch {
    return '';
  }
}

function fieldsOf(line: string): string[] {
  if (line.startsWith('#')) return [];
  return (line.match(/(?:^|:)((?:\\.|[^:\\])*)/g) ?? []).map((field, i) =>
    (i === 0 ? field : field.slice(1)).replaceAll(/\\(.)/g, '$1'),
  );
}
