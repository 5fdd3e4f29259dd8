/**
 * PostgreSQL URLs as libpq reads them (postgres://user:password@host:port/database?parameter=value): percent-encoded
 * parts, IPv6 in brackets, socket folders as host, and what stands in the query wins. Taken apart here only, without
 * WHATWG's URL, which refuses socket folders. One URL names one server: a snapshot lives on one only.
 */
import { userInfo } from 'node:os';
import { LifeboatError } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';

/** Where and as whom to connect. `password` stands here in clear: never log it. */
export interface PostgresUrl {
  /** A name, an address (IPv6 without brackets), or the absolute path of a socket folder. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  /** Known parameters only, e.g. sslmode, by libpq's names. */
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * The parts that a URL names. Undefined: not named, so that a PG* variable may say it; empty: named as nothing, which
 * means the default. `password` stands here in clear: never log it.
 */
export interface GivenPostgresUrl {
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly host: string | undefined;
  readonly port: string | undefined;
  readonly database: string | undefined;
  readonly parameters: ReadonlyMap<string, string>;
}

/** libpq's environment variable for each parameter that a URL may carry. */
export const parameterVariables: Readonly<Record<string, string>> = {
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslcrl: 'PGSSLCRL',
  sslnegotiation: 'PGSSLNEGOTIATION',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
  channel_binding: 'PGCHANNELBINDING',
  gssencmode: 'PGGSSENCMODE',
  krbsrvname: 'PGKRBSRVNAME',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  options: 'PGOPTIONS',
  passfile: 'PGPASSFILE',
};

/**
 * Parameters of other programs' URLs that do not concern a backup; anything else unknown is an error (a mistyped
 * sslmode must not pass).
 */
const ignored = new Set(
  (
    'schema connection_limit pool_timeout pgbouncer pool_size max_pool_size statement_cache_size socket_timeout ' +
    'sslaccept supa application_name fallback_application_name uselibpqcompat keepalives keepalives_idle ' +
    'keepalives_interval keepalives_count tcp_user_timeout target_session_attrs client_encoding'
  ).split(' '),
);

/** Takes a URL apart, with libpq's default for what it leaves out. Throws as readPostgresUrl does. */
export function parsePostgresUrl(url: Secret): PostgresUrl {
  const given = readPostgresUrl(url.reveal());
  const user = filled(given.user) ?? userInfo().username;
  return {
    host: filled(given.host) ?? 'localhost',
    port: parsePort(given.port ?? ''),
    user,
    password: filled(given.password),
    database: filled(given.database) ?? user,
    parameters: given.parameters,
  };
}

/** Takes a URL apart. Throws `usage` (2) for one that libpq would refuse; the message never holds the URL. */
export function readPostgresUrl(url: string): GivenPostgresUrl {
  const parts = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/s.exec(url.trim());
  if (parts === null) {
    throw refused(
      'it is not of the form postgres://user:password@host:port/database (special characters must be percent-encoded)',
    );
  }
  const [, login = '', authority = '', path = '', query = ''] = parts;
  const named = parseQuery(query);
  const [user = '', ...password] = login.split(':');
  const place = parseAuthority(authority);
  const given: GivenPostgresUrl = {
    user: named.get('user') ?? filled(decode(user)),
    password: named.get('password') ?? filled(decode(password.join(':'))),
    host: named.get('host') ?? filled(place.host),
    port: named.get('port') ?? filled(place.port),
    database: named.get('dbname') ?? filled(decode(path)),
    parameters: knownParameters(named),
  };
  refuseSeveral(given.host);
  parsePort(given.port ?? '');
  return given;
}

/** The same as one URL that libpq and pg read alike; a socket folder stands percent-encoded as the host. */
export function formatPostgresUrl(url: GivenPostgresUrl): string {
  const password = filled(url.password) === undefined ? '' : `:${encodeURIComponent(url.password ?? '')}`;
  const credentials = url.user === undefined ? '' : `${encodeURIComponent(url.user)}${password}@`;
  const port = filled(url.port) === undefined ? '' : `:${url.port}`;
  const query = [...url.parameters]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&');
  const place = `${encodeHost(url.host ?? '')}${port}/${encodeURIComponent(url.database ?? '')}`;
  return `postgres://${credentials}${place}${query === '' ? '' : `?${query}`}`;
}

/** Undefined for what is empty. */
export function filled(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}

/** IPv6 addresses keep their colons, inside brackets. */
function encodeHost(host: string): string {
  const isAddress = host.includes(':') && !host.startsWith('/');
  return isAddress ? `[${host.replaceAll('%', '%25')}]` : encodeURIComponent(host);
}

function parseQuery(query: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const pair of query.split('&').filter((each) => each !== '')) {
    const [name = '', ...value] = pair.split('=');
    found.set(decode(name), decode(value.join('=')));
  }
  return found;
}

function knownParameters(named: ReadonlyMap<string, string>): Map<string, string> {
  const known = new Map<string, string>();
  for (const [name, value] of named) {
    if (['host', 'port', 'user', 'password', 'dbname'].includes(name) || ignored.has(name)) continue;
    if (name === 'ssl') known.set('sslmode', value === 'false' || value === '0' ? 'disable' : 'require');
    else if (parameterVariables[name] === undefined) throw refused(`it has an unknown parameter "${name}"`);
    else known.set(name, value);
  }
  return known;
}

function parseAuthority(authority: string): { host: string; port: string } {
  refuseSeveral(decode(authority));
  const bracketed = /^\[([^\]]*)\](?::(\d*))?$/.exec(authority);
  if (bracketed !== null) return { host: decode(bracketed[1] ?? ''), port: bracketed[2] ?? '' };
  const [host = '', port = '', ...more] = authority.split(':');
  if (more.length > 0) {
    throw refused('its host holds colons', 'write an IPv6 address in brackets: postgres://user@[::1]:5432/database');
  }
  return { host: decode(host), port };
}

function refuseSeveral(hosts: string | undefined): void {
  if (hosts?.includes(',') !== true) return;
  throw refused('it names several hosts', 'name the one to back up (a snapshot lives on one server only)');
}

function parsePort(text: string): number {
  const port = text === '' ? 5432 : Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw refused('its port is not a number between 1 and 65535');
  }
  return port;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused('it has a % that is not followed by two hex digits', 'write a literal % as %25');
  }
}

function refused(why: string, hint?: string): LifeboatError {
  return new LifeboatError('usage', `cannot use the PostgreSQL URL: ${why}`, { hint });
}
