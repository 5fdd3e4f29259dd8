/**
 * A PostgreSQL URL as a value: parsed once (postgres-url-parser.ts), complete, and handed down as it is. As a whole it
 * is a Secret: no log, no JSON and no inspection shows any part of it; who needs one asks for it by name.
 */
import { Secret } from '../lib/secret.ts';

/** Where and as whom to connect. */
export interface PostgresUrlParts {
  /** A name, an address (IPv6 without brackets), or the absolute path of a socket folder. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: Secret | undefined;
  readonly database: string;
  /** Known parameters only, e.g. sslmode, by libpq's names. */
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * Cannot be changed. `reveal()` gives one URL that libpq and pg read alike. Of one that is configured but has no value
 * here (see `unavailable`) every member throws.
 */
export class PostgresUrl extends Secret implements PostgresUrlParts {
  readonly #parts: PostgresUrlParts | Error;

  constructor(parts: PostgresUrlParts | Error) {
    super(parts instanceof Error ? '' : formatPostgresUrl(asGiven(parts)));
    this.#parts = parts instanceof Error ? parts : { ...parts, parameters: new Map(parts.parameters) };
  }

  /** Configured, but not to be had, or not asked for by this command: whoever uses it gets this error. */
  static unavailable(why: Error): PostgresUrl {
    return new PostgresUrl(why);
  }

  get host(): string {
    return this.#known.host;
  }

  /** Where to connect, if that is to be another place than `host`, which then is only what the server is called. */
  get address(): string {
    return this.parameters.get('hostaddr') ?? this.host;
  }

  get port(): number {
    return this.#known.port;
  }

  get user(): string {
    return this.#known.user;
  }

  /** The URL's own; for one in a password file see source/postgres/server/passfile.ts. */
  get password(): Secret | undefined {
    return this.#known.password;
  }

  get database(): string {
    return this.#known.database;
  }

  get parameters(): ReadonlyMap<string, string> {
    return this.#known.parameters;
  }

  /** Another database of the same server, by the same user. */
  withDatabase(database: string): PostgresUrl {
    return new PostgresUrl({ ...this.#known, database });
  }

  /** The same with other parameters. */
  withParameters(parameters: ReadonlyMap<string, string>): PostgresUrl {
    return new PostgresUrl({ ...this.#known, parameters });
  }

  /** "host:port", or the socket's path, and the database: for messages; neither user nor password. */
  describe(): string {
    const { host, port, database } = this.#known;
    const server = host.startsWith('/')
      ? `${host}/.s.PGSQL.${port}`
      : `${host.includes(':') ? `[${host}]` : host}:${port}`;
    return `${server}, database ${database}`;
  }

  override reveal(): string {
    if (this.#parts instanceof Error) throw this.#parts;
    return super.reveal();
  }

  get #known(): PostgresUrlParts {
    if (this.#parts instanceof Error) throw this.#parts;
    return this.#parts;
  }
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

/** The same as one URL that libpq and pg read alike; a socket folder stands percent-encoded as the host. */
export function formatPostgresUrl(url: GivenPostgresUrl): string {
  const password = filled(url.password) === undefined ? '' : `:${encode(url.password ?? '')}`;
  const credentials = url.user === undefined ? '' : `${encode(url.user)}${password}@`;
  const port = filled(url.port) === undefined ? '' : `:${url.port}`;
  const query = [...url.parameters].map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
  const place = `${encodeHost(url.host ?? '')}${port}/${encode(url.database ?? '')}`;
  return `postgres://${credentials}${place}${query === '' ? '' : `?${query}`}`;
}

/** Undefined for what is empty. */
export function filled(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}

function asGiven(parts: PostgresUrlParts): GivenPostgresUrl {
  return { ...parts, port: String(parts.port), password: parts.password?.reveal() };
}

/** IPv6 addresses keep their colons, inside brackets. */
function encodeHost(host: string): string {
  const isAddress = host.includes(':') && !host.startsWith('/');
  return isAddress ? `[${host.replaceAll('%', '%25')}]` : encode(host);
}

/** A quote too: such a URL is shown in quotes, for a shell. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll("'", '%27');
}

/** libpq's environment variable for each parameter that a URL may carry. */
export const parameterVariables: ReadonlyMap<string, string> = new Map([
  ['hostaddr', 'PGHOSTADDR'],
  ['sslmode', 'PGSSLMODE'],
  ['sslrootcert', 'PGSSLROOTCERT'],
  ['sslcert', 'PGSSLCERT'],
  ['sslkey', 'PGSSLKEY'],
  ['sslcrl', 'PGSSLCRL'],
  ['sslnegotiation', 'PGSSLNEGOTIATION'],
  ['ssl_min_protocol_version', 'PGSSLMINPROTOCOLVERSION'],
  ['ssl_max_protocol_version', 'PGSSLMAXPROTOCOLVERSION'],
  ['channel_binding', 'PGCHANNELBINDING'],
  ['gssencmode', 'PGGSSENCMODE'],
  ['krbsrvname', 'PGKRBSRVNAME'],
  ['connect_timeout', 'PGCONNECT_TIMEOUT'],
  ['options', 'PGOPTIONS'],
  ['passfile', 'PGPASSFILE'],
]);
