/** A PostgreSQL URL for libpq's programs. */
import { parameterVariables, type PostgresUrl } from '../../../config/postgres-url.ts';

/**
 * The environment that makes libpq's programs connect to `database` (default: the URL's); holds the password, argv
 * never does.
 */
export function libpqEnvironment(
  url: PostgresUrl,
  options: { readonly database?: string; readonly encoding?: string } = {},
): Record<string, string> {
  const env: Record<string, string> = {
    PGHOST: url.host,
    PGPORT: String(url.port),
    PGUSER: url.user,
    PGDATABASE: options.database ?? url.database,
    PGAPPNAME: 'lifeboat',
    PGCONNECT_TIMEOUT: '30',
    // Names on command lines are UTF-8, and so must be what they are compared with. SQL_ASCII has no conversions: bytes
    // as they are.
    PGCLIENTENCODING: options.encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8',
  };
  if (url.password !== undefined) env['PGPASSWORD'] = url.password.reveal();
  for (const [name, value] of url.parameters) env[parameterVariables.get(name) ?? name] = value;
  return env;
}
