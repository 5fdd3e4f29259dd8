/** A PostgreSQL URL for libpq's programs, and for people. */
import { parameterVariables, parsePostgresUrl, type PostgresUrl } from '../../../config/postgres-url.ts';
import type { Secret } from '../../../lib/secret.ts';

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
  for (const [name, value] of parameters) env[parameterVariables[name] ?? name] = value;
  return env;
}

/** "host:port/database", or the socket's path: for messages. */
export function describeServer(url: PostgresUrl, database = url.database): string {
  const server = url.host.startsWith('/')
    ? `${url.host}/.s.PGSQL.${url.port}`
    : `${url.host.includes(':') ? `[${url.host}]` : url.host}:${url.port}`;
  return `${server}, database ${database}`;
}
