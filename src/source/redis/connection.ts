/**
 * The connection for commands and settings. It never reconnects by itself: a lost server is a failure to tell.
 */
import { BulkConnection, commandOf } from './bulk-connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { redisError } from './errors.ts';
import { readReply, textOf, type Reply } from './replies.ts';

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
 * hint.
 */
export async function connectRedis(
  endpoint: RedisEndpoint,
  signal?: AbortSignal,
  patienceMs?: number,
): Promise<RedisConnection> {
  const connection = connectionOf(await BulkConnection.open(endpoint, signal, patienceMs), signal);
  // So that who looks at the server's clients knows this one; not every user may do it.
  connection.call('CLIENT', 'SETNAME', 'lifeboat').catch(() => {});
  return connection;
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

function connectionOf(bulk: BulkConnection, signal: AbortSignal | undefined): RedisConnection {
  const { endpoint } = bulk;
  let before: Promise<unknown> = Promise.resolve();
  // Sent at once, and read in the order of sending: round trips are not waited for one by one.
  const exchange = async (command: string, args: readonly (string | number | Buffer)[]): Promise<Reply> => {
    const words = args.map((word) => (typeof word === 'number' ? String(word) : word));
    const sending = bulk.send(commandOf([command, ...words]));
    const answer = Promise.all([sending, before]).then(() => readReply(bulk));
    before = answer.catch(() => {});
    return answer;
  };
  const act = async (command: string, args: readonly (string | number | Buffer)[]): Promise<Reply> => {
    try {
      return await exchange(command, args);
    } catch (error) {
      signal?.throwIfAborted();
      throw redisError(error, `cannot run ${command}`, endpoint);
    }
  };
  const close = (): void => void bulk[Symbol.asyncDispose]();
  return {
    endpoint,
    call: async (command, ...args) => textOf(await act(command, args)),
    callBuffer: (command, ...args) => act(command, args),
    close,
    [Symbol.asyncDispose]: async () => close(),
  };
}
