/**
 * How a session of ours begins, whoever opens it: what libpq's programs (pg_dump, psql, pg_receivewal, …) get as their
 * environment, since anybody may read arguments, and the options of the startup packet, for them and our own sessions.
 */
import { parameterVariables, type PostgresUrl } from '../../../config/postgres-url.ts';
import { type RunningTool, startTool } from '../../../lib/exec.ts';
import { conninfo } from './quote.ts';

export interface LibpqSettings {
  /** Default: the URL's. */
  readonly database?: string;
  /** The database's, e.g. UTF8. */
  readonly encoding?: string;
  /** As for startupOptions(). */
  readonly defaults?: readonly string[];
}

/** The environment that makes libpq's programs connect; holds the password. */
export function libpqEnvironment(
  url: PostgresUrl,
  { database, encoding, defaults }: LibpqSettings = {},
): Record<string, string> {
  const env: Record<string, string> = {
    PGHOST: url.host,
    PGPORT: String(url.port),
    PGUSER: url.user,
    PGDATABASE: database ?? url.database,
    PGAPPNAME: 'lifeboat',
    PGCONNECT_TIMEOUT: '30',
    // Names on command lines are UTF-8, and so must be what they are compared with. SQL_ASCII has no conversions: bytes
    // as they are.
    PGCLIENTENCODING: encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8',
  };
  if (url.password !== undefined) env['PGPASSWORD'] = url.password.reveal();
  for (const [name, value] of url.parameters) env[parameterVariables.get(name) ?? name] = value;
  return { ...env, PGOPTIONS: startupOptions(url, defaults) };
}

/**
 * The database's owner may have set a search_path in which operators and functions of theirs stand before PostgreSQL's:
 * our first unqualified word would run their code with our rights. A setting of the startup packet beats those of
 * databases and roles, and holds before the first statement; ours stands last, so it beats the URL's too. `defaults`
 * (`name=value`) are what the URL may say otherwise.
 */
export function startupOptions({ parameters }: PostgresUrl, defaults: readonly string[] = []): string {
  const given = parameters.get('options') ?? '';
  return [...defaults.map((setting) => `-c ${escape(setting)}`), given, '-c search_path=pg_catalog']
    .filter((option) => option !== '')
    .join(' ');
}

/** The same server, where each session begins as another role of the login's, and RESET ROLE leads to that one. */
export function actingAs(url: PostgresUrl, role: string): PostgresUrl {
  const given = url.parameters.get('options') ?? '';
  return url.withParameters(new Map(url.parameters).set('options', `${given} -c ${escape(`role=${role}`)}`.trim()));
}

/** A blank would end it. */
function escape(setting: string): string {
  return setting.replaceAll(/[\\\s]/g, '\\$&');
}

/** What psql is to do with the script that it reads from its standard input. */
export interface PsqlRun {
  /** Absolute path of psql. */
  readonly file: string;
  readonly database: string;
  /** Of libpqEnvironment(). */
  readonly env: Readonly<Record<string, string>>;
  readonly stdout: 'ignore' | 'pipe';
  readonly signal?: AbortSignal | undefined;
}

/** Starts psql: nothing of the user's ~/.psqlrc counts, nobody is asked, and the first error ends it. */
export function startPsql({ file, database, env, stdout, signal }: PsqlRun): Promise<RunningTool> {
  return startTool({
    file,
    // Not PGDATABASE alone: the argument is a connection string, so that no name of a database is taken for one.
    args: ['--no-psqlrc', '--quiet', '--no-password', '--variable=ON_ERROR_STOP=1', `--dbname=${conninfo(database)}`],
    env,
    stdin: 'pipe',
    stdout,
    ...(signal === undefined ? {} : { signal }),
  });
}
