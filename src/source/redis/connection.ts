/**
 * The connection for commands and settings, by ioredis. It never reconnects by itself: a lost server is a failure to
 * tell.
 */
import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import type { Redis } from 'ioredis';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import { fileReason } from '../../lib/file-errors.ts';
import type { RedisEndpoint, RedisTls } from './endpoint.ts';
import { redisError } from './errors.ts';

export interface RedisConnection extends AsyncDisposable {
  readonly endpoint: RedisEndpoint;
  /** One command; replies as text. Errors are LifeboatErrors (source) whose cause is the server's own. */
  call(command: string, ...args: readonly (string | number | Buffer)[]): Promise<unknown>;
  /** The same with binary replies. */
  callBuffer(command: string, ...args: readonly (string | number | Buffer)[]): Promise<unknown>;
  close(): void;
}

const connectTimeoutMs = 10_000;

/**
 * Connects and logs in; what an aborted signal interrupts fails with its reason. Throws LifeboatError (source) with a
 * hint.
 */
export async function connectRedis(endpoint: RedisEndpoint, signal?: AbortSignal): Promise<RedisConnection> {
  signal?.throwIfAborted();
  const { Redis } = await import('ioredis');
  const client = new Redis({
    ...(endpoint.socketPath === undefined
      ? { host: endpoint.host, port: endpoint.port }
      : { path: endpoint.socketPath }),
    ...(endpoint.user === undefined ? {} : { username: endpoint.user }),
    ...(endpoint.password === undefined ? {} : { password: endpoint.password.reveal() }),
    ...(endpoint.tls === undefined ? {} : { tls: await tlsOptions(endpoint.tls) }),
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    disableClientInfo: true,
    connectionName: 'lifeboat',
    protocol: 2,
  });
  let first: unknown;
  client.on('error', (error: unknown) => (first ??= error));
  const onAbort = (): void => client.disconnect();
  signal?.addEventListener('abort', onAbort, { once: true });
  const close = (): void => {
    signal?.removeEventListener('abort', onAbort);
    client.disconnect();
  };
  try {
    await client.connect();
    await client.ping();
  } catch (error) {
    // A user without the right to PING is logged in all the same.
    if (!messageOf(error).includes('NOPERM')) {
      close();
      signal?.throwIfAborted();
      throw redisError(first ?? error, 'cannot connect', endpoint);
    }
  }
  return connectionOf(client, endpoint, close, signal);
}

/** Runs `work` with a connection that is closed afterwards. */
export async function withRedis<T>(
  endpoint: RedisEndpoint,
  signal: AbortSignal | undefined,
  work: (connection: RedisConnection) => Promise<T>,
): Promise<T> {
  await using connection = await connectRedis(endpoint, signal);
  return await work(connection);
}

/** Options for node:tls; a missing or unreadable PEM file is a usage error. */
export async function tlsOptions(tls: RedisTls): Promise<ConnectionOptions> {
  return {
    ...(tls.caFile === undefined ? {} : { ca: await pem(tls.caFile) }),
    ...(tls.certFile === undefined ? {} : { cert: await pem(tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { key: await pem(tls.keyFile) }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    rejectUnauthorized: tls.verify,
  };
}

async function pem(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new LifeboatError('usage', `cannot read the TLS file ${path}: ${fileReason(error)}`, {
      hint: 'check redis.caFile, redis.certFile and redis.keyFile',
      cause: error,
    });
  }
}

function connectionOf(
  client: Redis,
  endpoint: RedisEndpoint,
  close: () => void,
  signal: AbortSignal | undefined,
): RedisConnection {
  const act = async <T>(command: string, run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      signal?.throwIfAborted();
      throw redisError(error, `cannot run ${command}`, endpoint);
    }
  };
  return {
    endpoint,
    call: (command, ...args) => act(command, () => client.call(command, [...args])),
    callBuffer: (command, ...args) => act(command, () => client.callBuffer(command, [...args])),
    close,
    [Symbol.asyncDispose]: async () => close(),
  };
}
