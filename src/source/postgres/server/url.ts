/**
 * Connection URLs as libpq reads them (postgres://user:password@host:port/database?parameter=value):
 * percent-encoded parts, IPv6 in brackets, socket folders as host. Every part that is missing has
 * libpq's default. One URL names one server: a snapshot lives on one only.
 */
import { userInfo } from 'node:os';
import { LifeboatError } from '../../../lib/errors.ts';
import type { Secret } from '../../../lib/secret.ts';

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

/** libpq's environment variable for each parameter that a URL may carry. */
const variableOf: Readonly<Record<string, string>> = {
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

/** Takes a URL apart. Throws `usage` (2) for one that libpq would refuse; the message never holds the URL. */
export function parsePostgresUrl(url: Secret): PostgresUrl {
  const parts = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/s.exec(
    url.reveal().trim(),
  );
  if (parts === null) {
    throw refused(
      'it is not of the form postgres://user:password@host:port/database (special characters must be percent-encoded)',
    );
  }
  const [, login = '', authority = '', path = '', query = ''] = parts;
  const named = parseQuery(query);
  const parameters = knownParameters(named);
  const [user = '', ...password] = login.split(':');
  const { host, port } = parseAuthority(authority);
  const name = named.get('user') ?? (decode(user) || userInfo().username);
  return {
    host: named.get('host') ?? (host || 'localhost'),
    port: parsePort(named.get('port') ?? port),
    user: name,
    password: named.get('password') ?? (password.length === 0 ? undefined : decode(password.join(':'))),
    database: named.get('dbname') ?? (decode(path) || name),
    parameters,
  };
}

/**
 * The environment that makes libpq's programs connect to `database` (default: the URL's); holds the password, argv
 * never does.
 */
export function libpqEnvironment(
  url: Secret,
  options: { readonly database?: string; readonly encoding?: string } = {},
): Record<string, string> {
  const { host, port, user, password, database, parameters } = parsePostgresUrl(url);
  const env: Record<string, string> = {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: options.database ?? database,
    PGAPPNAME: 'lifeboat',
    PGCONNECT_TIMEOUT: '30',
    // Names on command lines are UTF-8, and so must be what they are compared with. SQL_ASCII has no conversions: bytes
    // as they are.
    PGCLIENTENCODING: options.encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8',
  };
  if (password !== undefined) env['PGPASSWORD'] = password;
  for (const [name, value] of parameters) env[variableOf[name] ?? name] = value;
  return env;
}

/** "host:port/database", or the socket's path: for messages. */
export function describeServer(url: PostgresUrl, database = url.database): string {
  const server = url.host.startsWith('/')
    ? `${url.host}/.s.PGSQL.${url.port}`
    : `${url.host.includes(':') ? `[${url.host}]` : url.host}:${url.port}`;
  return `${server}, database ${database}`;
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
    else if (variableOf[name] === undefined) throw refused(`it has an unknown parameter "${name}"`);
    else known.set(name, value);
  }
  return known;
}

function parseAuthority(authority: string): { host: string; port: string } {
  if (decode(authority).includes(',')) {
    throw refused('it names several hosts', 'name the one to back up (a snapshot lives on one server only)');
  }
  const bracketed = /^\[([^\]]*)\](?::(\d*))?$/.exec(authority);
  if (bracketed !== null) return { host: decode(bracketed[1] ?? ''), port: bracketed[2] ?? '' };
  const [host = '', port = '', ...more] = authority.split(':');
  if (more.length > 0) {
    throw refused('its host holds colons', 'write an IPv6 address in brackets: postgres://user@[::1]:5432/database');
  }
  return { host: decode(host), port };
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
