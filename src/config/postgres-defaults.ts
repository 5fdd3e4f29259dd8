/** What a PostgreSQL URL leaves out, from where libpq takes it: PG* variables, the system's user, the password file. */
import { join } from 'node:path';
import { homeOf, type Environment } from './discover.ts';
import type { Fault } from './faults.ts';
import { findInPassfile } from './pgpass.ts';
import { systemUser } from './postgres-url-parser.ts';
import { filled, formatPostgresUrl, type GivenPostgresUrl } from './postgres-url.ts';

/** A URL made of PG* variables alone, or undefined if they name no server and no database. */
export function urlFromPgVariables(env: Environment, faults: Fault[]): { value: string; origin: string } | undefined {
  const given = ['PGHOST', 'PGHOSTADDR', 'PGDATABASE'].find((name) => filled(env[name]) !== undefined);
  if (given === undefined) {
    if (filled(env['PGSERVICE']) !== undefined) {
      faults.push({ where: 'PGSERVICE', message: 'services are not read; set DATABASE_URL, or PGHOST and its like' });
    }
    return undefined;
  }
  const empty: GivenPostgresUrl = {
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
export function fillFromPgVariables(url: GivenPostgresUrl, env: Environment): GivenPostgresUrl {
  const parameters = new Map(url.parameters);
  for (const [name, variable] of [
    ['hostaddr', 'PGHOSTADDR'],
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
    host: url.host ?? filled(env['PGHOST']),
    port: url.port ?? filled(env['PGPORT']),
    database: url.database ?? filled(env['PGDATABASE']),
    parameters,
  };
}

/**
 * User and password, where still missing: the system's user name, and libpq's password file (the URL's passfile, else
 * PGPASSFILE or ~/.pgpass).
 */
export async function fillCredentials(
  url: GivenPostgresUrl,
  env: Environment,
  warnings: string[],
): Promise<GivenPostgresUrl> {
  const user = filled(url.user) ?? systemUser();
  if (filled(url.password) !== undefined || user === undefined) return { ...url, user };
  const home = homeOf(env);
  const file =
    filled(url.parameters.get('passfile')) ??
    filled(env['PGPASSFILE']) ??
    (home === undefined ? undefined : join(home, '.pgpass'));
  if (file === undefined) return { ...url, user };
  const wanted = {
    host: filled(url.host) ?? filled(url.parameters.get('hostaddr')) ?? 'localhost',
    port: filled(url.port) ?? '5432',
    database: filled(url.database) ?? user,
    user,
  };
  return { ...url, user, password: await findInPassfile(file, wanted, (message) => void warnings.push(message)) };
}
