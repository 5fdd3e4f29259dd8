/**
 * Answers over HTTP that nobody needs a password for (/healthz, /metrics). For this machine: only a loopback address or
 * a socket of Unix is taken unless the operator says otherwise, since nobody is asked who he is. Requests are small and
 * have little time, and none changes anything.
 */
import { lstatSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect, isIP } from 'node:net';
import { LifeboatError, messageOf, systemCodeOf } from './errors.ts';
import { removeFile } from './held-files.ts';

/** Where it listens: host and port, or the path of a socket. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** `127.0.0.1:9187`, `[::1]:9187`, `localhost:9187` or `/run/lifeboat.sock`. Throws LifeboatError `usage`. */
export function parseListenAddress(text: string, isAnyAllowed: boolean): ListenAddress {
  if (text.startsWith('/')) return { kind: 'unix', path: text };
  const [, bracketed, plain, digits = ''] = /^(?:\[([0-9a-fA-F:.]+)\]|([^[\]:/\s]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  const isHost = host !== undefined && (host === 'localhost' || isIP(host) !== 0);
  if (!isHost || port > 65_535) {
    throw new LifeboatError('usage', `cannot listen on "${text}": it is no address with a port`, {
      hint: 'write 127.0.0.1:9187, [::1]:9187 or the path of a socket',
    });
  }
  if (!isAnyAllowed && !isLoopback(host)) {
    throw new LifeboatError('usage', `cannot listen on ${text}: whoever reaches it could ask, without a password`, {
      hint: 'listen on 127.0.0.1 and put a proxy before it, or add --listen-anywhere',
    });
  }
  return { kind: 'tcp', host, port };
}

export interface Answer {
  readonly status: number;
  /** Plain text. */
  readonly body: string;
}

/** By path, such as "/metrics". */
export type Answers = Readonly<Record<string, () => Answer | Promise<Answer>>>;

/** Answers until it is disposed of. Throws LifeboatError `usage` where the address cannot be had. */
export async function listen(address: ListenAddress, answers: Answers): Promise<AsyncDisposable> {
  const { createServer } = await import('node:http');
  const server = createServer(limits, (request, response) => void answer(request, response, answers));
  server.maxConnections = 32;
  server.maxRequestsPerSocket = 1000;
  await begin(server, address).catch((error: unknown) => {
    const where = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`;
    throw new LifeboatError('usage', `cannot listen on ${where}: ${messageOf(error)}`, { cause: error });
  });
  // Whoever asks keeps no daemon from ending.
  server.unref();
  return {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const limits = {
  maxHeaderSize: 8192,
  headersTimeout: 5000,
  requestTimeout: 5000,
  keepAliveTimeout: 5000,
  connectionsCheckingInterval: 2500,
};

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

async function answer(request: IncomingMessage, response: ServerResponse, answers: Answers): Promise<void> {
  const { status, body } = await answerOf(request, answers);
  // What comes with a request is not read.
  if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined) {
    response.setHeader('Connection', 'close');
  }
  response.writeHead(status, {
    'Content-Type': `text/plain; version=0.0.4; charset=utf-8`,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...(status === 405 ? { Allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function answerOf({ method, url = '' }: IncomingMessage, answers: Answers): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET\n' };
  const [path = ''] = url.split('?');
  const own = Object.hasOwn(answers, path) ? answers[path] : undefined;
  if (own === undefined) return { status: 404, body: `there are ${Object.keys(answers).join(', ')}\n` };
  try {
    return await own();
  } catch (error) {
    return { status: 500, body: `${messageOf(error)}\n` };
  }
}

async function begin(server: Server, address: ListenAddress): Promise<void> {
  if (address.kind === 'unix') await removeDeadSocket(address.path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).once('listening', resolve);
    if (address.kind === 'tcp') return server.listen(address.port, address.host);
    // Bound at once: for its owner and group.
    const before = process.umask(0o117);
    try {
      return server.listen(address.path);
    } finally {
      process.umask(before);
    }
  });
}

/** What a killed server has left: a socket on which nobody listens. */
async function removeDeadSocket(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const isDead = await new Promise<boolean>((resolve) => {
    const probe = connect(path)
      .once('connect', () => resolve(false))
      .once('error', (error) => resolve(systemCodeOf(error) === 'ECONNREFUSED'))
      .once('close', () => probe.destroy());
    probe.once('connect', () => probe.destroy());
  });
  if (isDead) await removeFile(path);
}
