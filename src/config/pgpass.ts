/**
 * Passwords from a .pgpass file, by libpq's rules (passwordFromFile in fe-connect.c): lines of
 * host:port:database:user:password, `*` alone matches all, `\` escapes, the first line that fits wins.
 */
import { readFile, stat } from 'node:fs/promises';

export interface PassfileQuery {
  /** As in the URL; a socket folder as its path. */
  readonly host: string;
  readonly port: string;
  readonly database: string;
  readonly user: string;
}

/**
 * The password of the first line that fits; undefined if none does, or it names none. The file is a place to look, not
 * a promise: one that cannot be read counts as empty, and so does one that others may use, which is told.
 */
export async function findInPassfile(
  path: string,
  { host, port, database, user }: PassfileQuery,
  warn: (message: string) => void = () => {},
): Promise<string | undefined> {
  const wanted = [socketFolders.has(host) ? 'localhost' : host, port, database, user];
  for (const line of (await readPrivately(path, warn)).split(/\r*\n/)) {
    if (line.startsWith('#')) continue;
    let rest: string | undefined = line;
    for (const value of wanted) rest = rest === undefined ? undefined : afterField(rest, value);
    if (rest !== undefined) return passwordOf(rest);
  }
  return undefined;
}

/** The folder that libpq was built with is "localhost" in the file: PostgreSQL's own default, and that of packages. */
const socketFolders = new Set(['/tmp', '/var/run/postgresql']);

async function readPrivately(path: string, warn: (message: string) => void): Promise<string> {
  try {
    const found = await stat(path);
    if (!found.isFile()) return '';
    if ((found.mode & 0o077) === 0) return await readFile(path, 'utf8');
    warn(`${path} is not used: others can read it; run: chmod 600 ${path}`);
    return '';
  } catch {
    return '';
  }
}

/** What follows the field that a line begins with, if that matches. */
function afterField(line: string, value: string): string | undefined {
  if (line.startsWith('*:')) return line.slice(2);
  const [field = ''] = /^(?:\\.|[^:\\])*/s.exec(line) ?? [];
  if (line[field.length] !== ':' || unescaped(field) !== value) return undefined;
  return line.slice(field.length + 1);
}

/** To the next colon; what comes behind it is left to later versions. Empty is none. */
function passwordOf(rest: string): string | undefined {
  const [field = ''] = /^(?:\\.|[^:])*/s.exec(rest) ?? [];
  return field === '' ? undefined : unescaped(field);
}

function unescaped(field: string): string {
  return field.replaceAll(/\\(.)/gs, '$1');
}
