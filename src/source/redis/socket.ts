/** A socket to a Redis server, with or without TLS: connected in time, or an error that says why not. */
import { connect as connectNet, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { readFile } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import { fileReason } from '../../lib/file-errors.ts';
import type { RedisEndpoint, RedisTls } from './endpoint.ts';
import { redisError } from './errors.ts';

/** How long connecting may take, and the first answers. */
export const connectMs = 10_000;

/** Connects. Throws LifeboatError (source), `usage` for TLS files that cannot be read, or the signal's reason. */
export async function openSocket(endpoint: RedisEndpoint, signal: AbortSignal | undefined): Promise<Socket> {
  signal?.throwIfAborted();
  const { socketPath, tls } = endpoint;
  const place = socketPath === undefined ? { host: endpoint.host, port: endpoint.port } : { path: socketPath };
  const socket = tls === undefined ? connectNet(place) : connectTls({ ...place, ...(await tlsOptions(tls)) });
  const onAbort = (): void => void socket.destroy(new Error('stopped'));
  signal?.addEventListener('abort', onAbort, { once: true });
  // Not the socket's own time-out, which a server that sends a byte now and then would put off for ever.
  const late = Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT' });
  const timer = setTimeout(() => socket.destroy(late), connectMs);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('Connection is closed')));
      socket.once(tls === undefined ? 'connect' : 'secureConnect', resolve);
    });
  } catch (error) {
    socket.destroy();
    signal?.throwIfAborted();
    throw redisError(error, 'cannot connect', endpoint);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
  return socket.setNoDelay(true).setKeepAlive(true);
}

/** Options for node:tls; a missing or unreadable PEM file is a usage error. */
async function tlsOptions(tls: RedisTls): Promise<ConnectionOptions> {
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
