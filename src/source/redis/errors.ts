/** Redis' and the network's errors in an operator's words, each with what to do about it. */
import { LifeboatError, messageOf, systemCodeOf } from '../../lib/errors.ts';
import type { RedisEndpoint } from './endpoint.ts';

/** Of what a server says, that much is told. */
const maxMessageChars = 300;

interface Known {
  readonly pattern: RegExp;
  readonly reason: string;
  readonly hint: string;
  readonly retryable?: boolean;
}

const known: readonly Known[] = [
  {
    pattern: /WRONGPASS|invalid password/i,
    reason: 'user name or password is wrong',
    hint: 'check the login in the Redis URL; ACL users need redis://user:password@host',
  },
  {
    pattern: /NOAUTH/,
    reason: 'it wants a password',
    hint: 'put the password into the Redis URL: redis://:password@host or redis://user:password@host',
  },
  {
    pattern: /without any password configured/i,
    reason: 'it has no password, but the URL has one',
    hint: 'take the password out of the Redis URL, or set requirepass on the server',
  },
  {
    pattern: /^LOADING/,
    reason: 'it is still loading its data',
    hint: 'wait until redis-cli info persistence shows loading:0, then repeat',
    retryable: true,
  },
  {
    pattern: /MASTERDOWN|link with MASTER is down/i,
    reason: 'it is a replica that has lost its primary',
    hint: 'name the primary in the Redis URL, or repair the replica',
    retryable: true,
  },
  {
    pattern: /^(MOVED|ASK|CLUSTERDOWN|CROSSSLOT)/,
    reason: 'it is part of a Redis Cluster',
    hint: 'a cluster is not supported: use a server that is not in cluster mode',
  },
  { pattern: /^OOM/, reason: 'it has no memory left (maxmemory)', hint: 'raise maxmemory on the server, then repeat' },
  {
    pattern: /^MISCONF/,
    reason: 'it refuses writes because its last snapshot on disk failed',
    hint: 'look into the log of the Redis server; it is often a full disk',
  },
  { pattern: /^READONLY/, reason: 'it is a read-only replica', hint: 'name the primary in the Redis URL' },
  {
    pattern: /max number of clients/i,
    reason: 'it has no free connection',
    hint: 'raise maxclients on the server, or repeat later',
    retryable: true,
  },
  {
    pattern: /Connection refused/,
    reason: 'nothing listens there',
    hint: 'check the address in the Redis URL and that the server runs',
    retryable: true,
  },
  {
    pattern: /protected mode/i,
    reason: 'it is in protected mode',
    hint: 'set a password on the server, or connect through its loopback address or socket',
  },
  {
    pattern: /self.signed|unable to (verify|get)|certificate|UNABLE_TO|altname/i,
    reason: 'its TLS certificate is not trusted',
    hint: 'name the CA of the server in redis.caFile',
  },
  {
    pattern: /wrong version number|packet length too long|SSL routines|tlsv1|EPROTO/i,
    reason: 'TLS does not fit',
    hint:
      'rediss:// is for TLS ports, redis:// for plain ones; client certificates go into redis.certFile and ' +
      'redis.keyFile',
  },
];

const network: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOENT: 'there is no such socket',
  EACCES: 'this user may not use the socket',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'the name could not be looked up',
  ETIMEDOUT: 'it did not answer in time',
  EHOSTUNREACH: 'there is no way to that host',
  ECONNRESET: 'it cut the connection',
  EPIPE: 'it cut the connection',
};

/**
 * Any failure of a call or connection as a LifeboatError `source` (13); what already is one stays. `act`: e.g. "cannot
 * connect".
 */
export function redisError(error: unknown, act: string, endpoint: Pick<RedisEndpoint, 'text'>): LifeboatError {
  if (error instanceof LifeboatError) return error;
  const message = messageOf(error).slice(0, maxMessageChars);
  const prefix = `${act} to Redis at ${endpoint.text}`.replace(/^(cannot (?!connect).*) to Redis at/, '$1 on Redis at');
  const right = /NOPERM.*? run the '?([^' ]+)/.exec(message);
  if (message.includes('NOPERM')) {
    const command = right?.[1];
    return new LifeboatError('source', `${prefix}: the user has no right to it (${message})`, {
      hint:
        command === undefined
          ? 'give the user the right by ACL SETUSER'
          : `give the user the right: ACL SETUSER <user> +${command}`,
      cause: error,
    });
  }
  const match = known.find(({ pattern }) => pattern.test(message));
  if (match !== undefined) {
    return new LifeboatError('source', `${prefix}: ${match.reason}`, {
      hint: match.hint,
      retryable: match.retryable ?? false,
      cause: error,
    });
  }
  const reason = network[systemCodeOf(error) ?? ''];
  const hint = 'check the address in the Redis URL and that the server runs';
  if (reason !== undefined) {
    return new LifeboatError('source', `${prefix}: ${reason}`, { hint, retryable: true, cause: error });
  }
  if (/Connection is closed|closed|timed? ?out/i.test(message)) {
    return new LifeboatError('source', `${prefix}: the connection was lost`, { hint, retryable: true, cause: error });
  }
  return new LifeboatError('source', `${prefix}: ${message}`, { cause: error });
}

/** True for a refusal by rights or by a command that the server does not have (managed servers). */
export function isRefusal(error: unknown): boolean {
  return /NOPERM|unknown (sub)?command|not allowed|is disabled|not supported|unsupported/i.test(messageOf(error));
}

/** What is refused everywhere, by INFO's sections server and cluster; undefined: nothing is. */
export function modeRefusal(
  info: ReadonlyMap<string, string>,
  { text }: Pick<RedisEndpoint, 'text'>,
): LifeboatError | undefined {
  const state = 'nothing was changed';
  if (info.get('cluster_enabled') === '1') {
    return new LifeboatError('source', `Redis at ${text} is in cluster mode, which is not supported`, {
      hint: 'one node holds only a part of the keys; use a server that is not in cluster mode',
      state,
    });
  }
  // It answers as an empty server does.
  if (info.get('redis_mode') === 'sentinel') {
    return new LifeboatError('source', `Redis at ${text} is a Sentinel, which holds no data`, {
      hint: 'name the server that it watches: SENTINEL GET-MASTER-ADDR-BY-NAME <name> tells where that is now',
      state,
    });
  }
  return undefined;
}
