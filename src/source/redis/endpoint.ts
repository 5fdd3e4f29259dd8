/**
 * Where a Redis is and how to log in: parsed from redis://, rediss:// and unix:// URLs, and turned into
 * redis-cli's arguments. The password is never among them: it goes through the environment.
 */
import { isIP } from 'node:net';
import { LifeboatError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';

/** How a Redis is named in the configuration; files are PEM. */
export interface RedisAddress {
  readonly url: Secret;
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

export interface RedisEndpoint {
  /** Unix socket; then host and port mean nothing. */
  readonly socketPath: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
  readonly password: Secret | undefined;
  /** The database in the URL; backups take all of the server whatever it says. */
  readonly db: number;
  readonly tls: RedisTls | undefined;
  /** For messages: no credentials. */
  readonly text: string;
}

export interface RedisTls {
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  /** False only where the URL says ssl_cert_reqs=none. */
  readonly verify: boolean;
  /** Undefined for IP addresses, which SNI does not have. */
  readonly serverName: string | undefined;
}

/**
 * `redis[s]://[user][:password]@host[:port][/db]`, `unix://[user][:password]@/path[?db=n]`; anything else is a usage
 * error.
 */
export function parseRedisUrl(address: RedisAddress): RedisEndpoint {
  const match = /^(redis|rediss|unix|redis\+unix|redis\+socket):\/\/(?:([^@/]*)@)?([^?#]*)(?:\?([^#]*))?$/i.exec(
    address.url.reveal().trim(),
  );
  if (match === null) throw badUrl();
  const [, scheme = '', login, rest = '', query = ''] = match;
  const [user, password] = loginOf(login);
  const options = new URLSearchParams(query);
  const common = { user, password };
  if (/unix|socket/i.test(scheme)) {
    const socketPath = decode(rest);
    if (!socketPath.startsWith('/')) throw badUrl();
    return {
      ...common,
      socketPath,
      host: 'localhost',
      port: 0,
      db: databaseOf(options.get('db') ?? ''),
      tls: undefined,
      text: socketPath,
    };
  }
  const place = /^(\[[0-9a-fA-F:.]+\]|[^:/[\]]*)(?::(\d{1,5}))?(?:\/(.*))?$/.exec(rest);
  if (place === null) throw badUrl();
  const host = decode((place[1] ?? '').replace(/^\[(.*)\]$/, '$1')) || '127.0.0.1';
  const port = Number(place[2] ?? 6379);
  const tls = scheme.toLowerCase() === 'rediss' ? tlsOf(address, host, options) : undefined;
  return {
    ...common,
    socketPath: undefined,
    host,
    port,
    db: databaseOf(place[3] ?? ''),
    tls,
    text: `${host.includes(':') ? `[${host}]` : host}:${port}`,
  };
}

/** Arguments that make redis-cli connect there; the password is in redisCliEnvironment. */
export function redisCliArguments(endpoint: RedisEndpoint): string[] {
  const args =
    endpoint.socketPath === undefined
      ? ['-h', endpoint.host, '-p', String(endpoint.port)]
      : ['-s', endpoint.socketPath];
  if (endpoint.user !== undefined && endpoint.password !== undefined) args.push('--user', endpoint.user);
  const tls = endpoint.tls;
  if (tls === undefined) return args;
  args.push('--tls');
  if (tls.serverName !== undefined) args.push('--sni', tls.serverName);
  if (tls.caFile !== undefined) args.push('--cacert', tls.caFile);
  if (tls.certFile !== undefined) args.push('--cert', tls.certFile);
  if (tls.keyFile !== undefined) args.push('--key', tls.keyFile);
  if (!tls.verify) args.push('--insecure');
  return args;
}

/** The password for redis-cli, if there is one. */
export function redisCliEnvironment(endpoint: RedisEndpoint): Record<string, string> {
  return endpoint.password === undefined ? {} : { REDISCLI_AUTH: endpoint.password.reveal() };
}

/** True for an address of this very host, as far as the URL tells. */
export function isLoopback(endpoint: RedisEndpoint): boolean {
  return (
    endpoint.socketPath !== undefined ||
    endpoint.host === 'localhost' ||
    endpoint.host === '::1' ||
    endpoint.host.startsWith('127.')
  );
}

function loginOf(login: string | undefined): [string | undefined, Secret | undefined] {
  if (login === undefined || login === '') return [undefined, undefined];
  const colon = login.indexOf(':');
  // redis://word@host: a user without a password could not log in, so the word is the password.
  if (colon === -1) return [undefined, new Secret(decode(login))];
  const user = decode(login.slice(0, colon));
  const password = decode(login.slice(colon + 1));
  // A user with an empty password is one that needs none (nopass), and still has to be named.
  return [user === '' ? undefined : user, password === '' && user === '' ? undefined : new Secret(password)];
}

function tlsOf(address: RedisAddress, host: string, options: URLSearchParams): RedisTls {
  return {
    caFile: address.caFile,
    certFile: address.certFile,
    keyFile: address.keyFile,
    verify: options.get('ssl_cert_reqs')?.toLowerCase() !== 'none',
    serverName: isIP(host) === 0 ? host : undefined,
  };
}

function databaseOf(text: string): number {
  if (text === '') return 0;
  if (!/^\d{1,9}$/.test(text)) throw badUrl();
  return Number(text);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badUrl();
  }
}

/** Never quotes the URL: it holds a password. */
function badUrl(): LifeboatError {
  return new LifeboatError('usage', 'the Redis URL cannot be understood', {
    hint:
      'write redis://user:password@host:6379, rediss://… for TLS, or unix:///path/to/redis.sock; special characters ' +
      'in the password as %XX',
  });
}
