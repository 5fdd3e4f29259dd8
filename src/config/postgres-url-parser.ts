/**
 * The one reader of PostgreSQL URLs, as libpq reads them (postgres://user:password@host:port/database?parameter=value):
 * percent-encoded parts, IPv6 in brackets, socket folders as host, and what stands in the query wins. Without WHATWG's
 * URL, which refuses socket folders. One URL names one server: a snapshot lives on one only.
 */
import { isIP } from 'node:net';
import { userInfo } from 'node:os';
import { LifeboatError } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import { filled, parameterVariables, PostgresUrl, type GivenPostgresUrl } from './postgres-url.ts';

/** The value of a URL. Throws `usage` (2) for one that libpq would refuse; the message never holds the URL. */
export function parsePostgresUrl(url: Secret | string): PostgresUrl {
  return completePostgresUrl(readPostgresUrl(typeof url === 'string' ? url : url.reveal()));
}

/** With libpq's default for what is left out. Throws as parsePostgresUrl does. */
export function completePostgresUrl(given: GivenPostgresUrl): PostgresUrl {
  const user = filled(given.user) ?? systemUser();
  if (user === undefined) throw refused('it names no user, and the system has no name for ours', 'name one in the URL');
  const password = filled(given.password);
  const address = filled(given.parameters.get('hostaddr'));
  refuseSeveral(given.host);
  checkAddress(address);
  return new PostgresUrl({
    host: filled(given.host) ?? address ?? 'localhost',
    port: parsePort(given.port ?? ''),
    user,
    password: password === undefined ? undefined : new Secret(password),
    database: filled(given.database) ?? user,
    parameters: new Map([...given.parameters].filter(([name]) => name !== 'hostaddr' || address !== undefined)),
  });
}

/** Takes a URL apart. Throws as parsePostgresUrl does. */
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
  return {
    user: named.get('user') ?? filled(decode(user)),
    password: named.get('password') ?? filled(decode(password.join(':'))),
    host: named.get('host') ?? filled(place.host),
    port: named.get('port') ?? filled(place.port),
    database: named.get('dbname') ?? filled(decode(path)),
    parameters: knownParameters(named),
  };
}

/** Undefined where no name belongs to the number that we run as. */
export function systemUser(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}

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
    else if (!parameterVariables.has(name)) throw refused(`it has an unknown parameter "${name}"`);
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

/** A name would be looked up by us and refused by libpq. */
function checkAddress(address: string | undefined): void {
  refuseSeveral(address);
  if (address !== undefined && isIP(address) === 0) {
    throw refused('its hostaddr is not an IP address', 'write a name as the host, or the address without brackets');
  }
}

function parsePort(text: string): number {
  const port = text === '' ? 5432 : Number(text);
  if (!/^\d*$/.test(text) || port < 1 || port > 65535) {
    throw refused('its port is not a number between 1 and 65535');
  }
  return port;
}

function decode(text: string): string {
  if (text.includes('%00')) throw refused('it has a %00, which libpq refuses');
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused('it has a % that is not followed by two hex digits', 'write a literal % as %25');
  }
}

function refused(why: string, hint?: string): LifeboatError {
  return new LifeboatError('usage', `cannot use the PostgreSQL URL: ${why}`, { hint });
}
