/**
 * The connection for commands and settings, by ioredis over a socket whose answers are guarded (answer-guard.ts). It
 * never reconnects by itself: a lost server is a failure to tell.
 */
import type { Socket } from 'node:net';
import type { Redis } from 'ioredis';
import { type LifeboatError, messageOf } from '../../lib/errors.ts';
import { guardAnswers } from './answer-guard.ts';
import { answerMs, refusedAnswer, silentServer } from './protocol.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { redisError } from './errors.ts';
import { connectMs, openSocket } from './socket.ts';

export interface RedisConnection extends AsyncDisposable {
  readonly endpoint: RedisEndpoint;
  /** One command; replies as text. Errors are LifeboatErrors (source) whose cause is the server's own. */
  call(command: string, ...args: readonly (string | number | Buffer)[]): Promise<unknown>;
  /** The same with binary replies. */
  callBuffer(command: string, ...args: readonly (string | number | Buffer)[]): Promise<unknown>;
  close(): void;
}

/**
 * Connects and logs in; what an aborted signal interrupts fails with its reason. Throws LifeboatError (source) with a
 * hint, also later when an answer does not come within `patienceMs`.
 */
export async function connectRedis(
  endpoint: RedisEndpoint,
  signal?: AbortSignal,
  patienceMs = answerMs,
): Promise<RedisConnection> {
  const link = new Link(endpoint, await openSocket(endpoint, signal), signal);
  try {
    const client = await clientOf(endpoint, link);
    await link.within(connectMs, async () => greet(client, link));
    return connectionOf(client, link, patienceMs);
  } catch (error) {
    link.close();
    signal?.throwIfAborted();
    throw redisError(link.error ?? error, 'cannot connect', endpoint);
  }
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

/** The socket under a connection, and why it is of no use any more. */
class Link {
  readonly endpoint: RedisEndpoint;
  readonly socket: Socket;
  readonly signal: AbortSignal | undefined;
  error: unknown;
  readonly #unlisten: () => void;

  constructor(endpoint: RedisEndpoint, socket: Socket, signal: AbortSignal | undefined) {
    this.endpoint = endpoint;
    this.socket = socket;
    this.signal = signal;
    guardAnswers(socket, (what) => this.end(refusedAnswer(endpoint, what)));
    socket.on('error', (error) => (this.error ??= error));
    const onAbort = (): void => void socket.destroy();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#unlisten = () => signal?.removeEventListener('abort', onAbort);
  }

  /** What is under way fails with this. */
  end(error: LifeboatError): void {
    this.error ??= error;
    this.socket.destroy();
  }

  /** An answer that is not there in time ends the connection. */
  async within<T>(ms: number, work: () => Promise<T>): Promise<T> {
    const late = setTimeout(() => this.end(silentServer(this.endpoint, ms)), ms);
    try {
      return await work();
    } finally {
      clearTimeout(late);
    }
  }

  /** The error says why. */
  get isLost(): boolean {
    return this.socket.destroyed && this.error !== undefined;
  }

  close(): void {
    this.#unlisten();
    this.socket.destroy();
  }
}

async function clientOf({ user, password }: RedisEndpoint, link: Link): Promise<Redis> {
  const { AbstractConnector, Redis } = await import('ioredis');
  class OverLink extends AbstractConnector {
    constructor() {
      super(0);
    }

    override async connect(): Promise<Socket> {
      return (this.stream = link.socket);
    }
  }
  const client = new Redis({
    Connector: OverLink,
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password: password.reveal() }),
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    disableClientInfo: true,
    // So that who looks at the server's clients knows this one; not every user may do it.
    connectionName: 'lifeboat',
    protocol: 2,
  });
  client.on('error', (error: unknown) => (link.error ??= error));
  return client;
}

async function greet(client: Redis, link: Link): Promise<void> {
  await client.connect();
  const answer: unknown = await client.ping().catch((error: unknown) => {
    // A user without the right to PING is logged in all the same.
    if (messageOf(error).includes('NOPERM')) return '';
    throw error;
  });
  if (typeof answer !== 'string') throw refusedAnswer(link.endpoint, 'an answer of another kind than asked for');
}

function connectionOf(client: Redis, link: Link, patienceMs: number): RedisConnection {
  const { endpoint, signal } = link;
  const act = async <T>(command: string, run: () => Promise<T>): Promise<T> => {
    try {
      return await link.within(patienceMs, run);
    } catch (error) {
      signal?.throwIfAborted();
      throw redisError(link.isLost ? link.error : error, `cannot run ${command}`, endpoint);
    }
  };
  const close = (): void => {
    link.close();
    client.disconnect();
  };
  return {
    endpoint,
    call: (command, ...args) => act(command, () => client.call(command, [...args])),
    callBuffer: (command, ...args) => act(command, () => client.callBuffer(command, [...args])),
    close,
    [Symbol.asyncDispose]: async () => close(),
  };
}
