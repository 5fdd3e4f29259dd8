/**
 * PostgreSQL URLs as libpq reads them: taken apart without WHATWG's URL, which refuses socket folders
 * and lists of hosts; filled in from libpq's PG* variables and its password file.
 */
import { readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { homeOf, type Environment } from './discover.ts';
import type { Fault } from './faults.ts';

export interface PostgresUrl {
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** Name, address, socket folder, or several with commas. */
  readonly host: string | undefined;
  readonly port: string | undefined;
  readonly database: string | undefined;
  /** sslmode and the like, not among the above. */
  readonly parameters: ReadonlyMap<string, string>;
}

const urlPattern = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^@/?#]*)(?:\/([^/?#]*))?(?:\?([^#]*))?$/;

/** Takes a URL apart; undefined if it is not one (a password's `@ / ? # %` must be percent-encoded). */
export function parsePostgresUrl(url: string): PostgresUrl | undefined {
  const match = urlPattern.exec(url.trim());
  if (match === null) return undefined;
  const [, credentials = '', place = '', path = '', query = ''] = match;
  try {
    const parameters = new Map(new URLSearchParams(query.replaceAll('+', '%2B')));
    const take = (name: string): string | undefined => {
      const value = parameters.get(name);
      parameters.delete(name);
      return value === '' ? undefined : value;
    };
    const colon = credentials.indexOf(':');
    const port = /^(.*?)(?::([\d,]*))?$/.exec(
      place.startsWith('[') || !place.includes(',') ? place : place.replaceAll(/:\d+/g, ''),
    );
    const ports = place.includes(',') ? [...place.matchAll(/:(\d+)/g)].map((each) => each[1]).join(',') : port?.[2];
    return {
      user: filled(decodeURIComponent(colon < 0 ? credentials : credentials.slice(0, colon))) ?? take('user'),
      password: (colon < 0 ? undefined : filled(decodeURIComponent(credentials.slice(colon + 1)))) ?? take('password'),
      host: filled(decodeURIComponent(port?.[1] ?? '')) ?? take('host'),
      port: filled(ports) ?? take('port'),
      database: filled(decodeURIComponent(path)) ?? take('dbname'),
      parameters,
    };
  } catch {
    return undefined;
  }
}

/** The same as one URL that libpq and pg read alike; a socket folder stands percent-encoded as the host. */
export function formatPostgresUrl(url: PostgresUrl): string {
  const credentials =
    url.user === undefined
      ? ''
      : `${encodeURIComponent(url.user)}${url.password === undefined ? '' : `:${encodeURIComponent(url.password)}`}@`;
  const hosts = (url.host ?? '').split(',');
  const ports = (url.port ?? '').split(',');
  const place = hosts.map((host, index) => `${encodeHost(host)}${portAt(ports, index)}`).join(',');
  const query = [...url.parameters]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&');
  return `postgres://${credentials}${place}/${encodeURIComponent(url.database ?? '')}${query === '' ? '' : `?${query}`}`;
}

/** A URL made of PG* variables alone, or undefined if they name no server and no database. */
export function urlFromPgVariables(env: Environment, faults: Fault[]): { value: string; origin: string } | undefined {
  const given = ['PGHOST', 'PGHOSTADDR', 'PGDATABASE'].find((name) => filled(env[name]) !== undefined);
  if (given === undefined) {
    if (filled(env['PGSERVICE']) !== undefined) {
      faults.push({ where: 'PGSERVICE', message: 'services are not read; set DATABASE_URL, or PGHOST and its like' });
    }
    return undefined;
  }
  const empty: PostgresUrl = {
    user: undefined,
    password: undefined,
    host: undefined,
    port: undefined,
    database: undefined,
    parameters: new Map(),
  };
  return { value: formatPostgresUrl(fillFromPgVariables(empty, env)), origin: given };
}

/** What the URL leaves out is taken from PG* variables, as libpq does. */
export function fillFromPgVariables(url: PostgresUrl, env: Environment): PostgresUrl {
  const parameters = new Map(url.parameters);
  for (const [name, variable] of [
    ['sslmode', 'PGSSLMODE'],
    ['sslrootcert', 'PGSSLROOTCERT'],
    ['sslcert', 'PGSSLCERT'],
    ['sslkey', 'PGSSLKEY'],
    ['connect_timeout', 'PGCONNECT_TIMEOUT'],
  ] as const) {
    const value = filled(env[variable]);
    if (value !== undefined && !parameters.has(name)) parameters.set(name, value);
  }
  return {
    user: url.user ?? filled(env['PGUSER']),
    password: url.password ?? filled(env['PGPASSWORD']),
    host: url.host ?? filled(env['PGHOST']) ?? filled(env['PGHOSTADDR']),
    port: url.port ?? filled(env['PGPORT']),
    database: url.database ?? filled(env['PGDATABASE']),
    parameters,
  };
}

/**
 * User and password, where still missing: the system's user name, and libpq's password file (PGPASSFILE or ~/.pgpass).
 */
export async function fillCredentials(url: PostgresUrl, env: Environment, warnings: string[]): Promise<PostgresUrl> {
  const user = url.user ?? systemUser();
  if (url.password !== undefined || user === undefined) return { ...url, user };
  const home = homeOf(env);
  const file = filled(env['PGPASSFILE']) ?? (home === undefined ? undefined : join(home, '.pgpass'));
  return {
    ...url,
    user,
    password: file === undefined ? undefined : await passwordFrom(file, { ...url, user }, warnings),
  };
}

async function passwordFrom(file: string, url: PostgresUrl, warnings: string[]): Promise<string | undefined> {
  let text: string;
  try {
    if (((await stat(file)).mode & 0o077) !== 0) {
      warnings.push(`${file} is not used: others can read it; run: chmod 600 ${file}`);
      return undefined;
    }
    text = await readFile(file, 'utf8');
  } catch {
    // As with libpq, a password file is a place to look, not a promise.
    return undefined;
  }
  const host = url.host === undefined || url.host.startsWith('/') ? 'localhost' : url.host;
  const wanted = [host, url.port ?? '5432', url.database ?? url.user ?? '', url.user ?? ''];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = (line.match(/(?:^|:)((?:\\.|[^:\\])*)/g) ?? []).map((field) =>
      field.replace(/^:/, '').replaceAll(/\\(.)/g, '$1'),
    );
    if (fields.length >= 5 && wanted.every((each, index) => fields[index] === '*' || fields[index] === each)) {
      return filled(fields[4]);
    }
  }
  return undefined;
}

function systemUser(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}

function filled(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}

function portAt(ports: readonly string[], index: number): string {
  const port = ports[index] ?? ports[0] ?? '';
  return port === '' ? '' : `:${port}`;
}

/** IPv6 addresses keep their colons, inside brackets. */
function encodeHost(host: string): string {
  if (host.startsWith('[')) return host;
  return host.includes(':') && !host.startsWith('/') ? `[${host}]` : encodeURIComponent(host);
}
