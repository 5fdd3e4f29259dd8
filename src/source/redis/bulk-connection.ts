/**
 * A bare RESP connection for DUMP and RESTORE of very many or very large values: bodies stream in pieces
 * both ways, so that a value of half a gigabyte costs no memory, which a general client cannot do.
 * Replies come in the order of the commands; the caller keeps the count.
 */
import { connect as connectNet } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { LifeboatError } from '../../lib/errors.ts';
import { tlsOptions } from './connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { redisError } from './errors.ts';

/** The head of a reply; bodies of kind 'bulk' are still to be read. */
export type ReplyHead =
  | { readonly kind: 'simple' | 'error'; readonly text: string }
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'array' | 'bulk'; readonly length: number }
  | { readonly kind: 'null' };

export class BulkConnection implements AsyncDisposable {
  readonly endpoint: RedisEndpoint;
  readonly #socket: Socket;
  readonly #incoming: AsyncIterator<Buffer>;
  readonly #unlisten: () => void;
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;
  #error: unknown;

  private constructor(socket: Socket, endpoint: RedisEndpoint, signal: AbortSignal) {
    this.endpoint = endpoint;
    this.#socket = socket;
    this.#incoming = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    socket.on('error', (error) => (this.#error ??= error));
    const onAbort = (): void => void socket.destroy(signal.reason instanceof Error ? signal.reason : undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#unlisten = () => signal.removeEventListener('abort', onAbort);
  }

  /** Connects and logs in. Throws LifeboatError (source). */
  static async open(endpoint: RedisEndpoint, signal: AbortSignal): Promise<BulkConnection> {
    const socket = await openSocket(endpoint);
    const connection = new BulkConnection(socket, endpoint, signal);
    try {
      signal.throwIfAborted();
      if (endpoint.password !== undefined) {
        await connection.expectOk(
          'AUTH',
          ...(endpoint.user === undefined ? [] : [endpoint.user]),
          endpoint.password.reveal(),
        );
      }
      return connection;
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Sends a command and wants +OK. Only while no other reply is due. */
  async expectOk(...words: readonly string[]): Promise<void> {
    await this.send(commandOf(words));
    const reply = await this.head();
    if (reply.kind === 'error') throw redisError(new Error(reply.text), `cannot run ${words[0] ?? ''}`, this.endpoint);
  }

  /** Sends bytes; waits when the server is slow to take them. The buffer must not be changed afterwards. */
  async send(bytes: Uint8Array): Promise<void> {
    if (this.#socket.destroyed) throw this.#lost();
    if (this.#socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done).off('close', done);
        resolve();
      };
      this.#socket.on('drain', done).on('close', done);
    });
    if (this.#socket.destroyed) throw this.#lost();
  }

  /** The next reply's first line. */
  async head(): Promise<ReplyHead> {
    return this.#parse(await this.#line());
  }

  /** Passes over replies that only have to be no errors; gives the first error there was. */
  async pass(count: number): Promise<string | undefined> {
    let error: string | undefined;
    for (let n = 0; n < count; n++) {
      const line = this.lineAtOnce() ?? (await this.#line());
      if (line[0] === '-') error ??= line.slice(1);
    }
    return error;
  }

  #parse(line: string): ReplyHead {
    const rest = line.slice(1);
    switch (line[0]) {
      case '+':
        return { kind: 'simple', text: rest };
      case '-':
        return { kind: 'error', text: rest };
      case ':':
        return { kind: 'integer', value: Number(rest) };
      case '$':
      case '*':
        return rest === '-1' ? { kind: 'null' } : { kind: line[0] === '$' ? 'bulk' : 'array', length: Number(rest) };
      default:
        throw new LifeboatError('source', `Redis at ${this.endpoint.text} sent something that is not its protocol`);
    }
  }

  /** The body of a bulk reply in pieces, valid until the next call. Must be read to its end. */
  async *body(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0;) {
      if (this.#at === this.#buffer.length) await this.#more();
      const piece = this.#buffer.subarray(this.#at, Math.min(this.#buffer.length, this.#at + left));
      this.#at += piece.length;
      left -= piece.length;
      yield piece;
    }
    while (this.#buffer.length - this.#at < 2) await this.#more();
    this.#at += 2;
  }

  /** A body that is there already as a whole (small values): a view, or undefined. */
  bodyAtOnce(length: number): Buffer | undefined {
    if (this.#buffer.length - this.#at < length + 2) return undefined;
    const start = this.#at;
    this.#at += length + 2;
    return this.#buffer.subarray(start, start + length);
  }

  /** The next line if it is there already. */
  lineAtOnce(): string | undefined {
    const end = this.#buffer.indexOf('\r\n', this.#at, 'latin1');
    if (end === -1) return undefined;
    const line = this.#buffer.toString('latin1', this.#at, end);
    this.#at = end + 2;
    return line;
  }

  /** A place to rewind to, as long as only …AtOnce calls are made in between. */
  mark(): number {
    return this.#at;
  }

  rewind(mark: number): void {
    this.#at = mark;
  }

  /** A small body as a whole. */
  async bodyOf(length: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.body(length)) pieces.push(Buffer.from(piece));
    return Buffer.concat(pieces);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unlisten();
    this.#socket.destroy();
  }

  async #line(): Promise<string> {
    for (;;) {
      const line = this.lineAtOnce();
      if (line !== undefined) return line;
      await this.#more();
    }
  }

  async #more(): Promise<void> {
    const next = await this.#incoming.next().catch((error: unknown) => {
      this.#error ??= error;
      return { done: true as const, value: undefined };
    });
    if (next.done === true || next.value === undefined) throw this.#lost();
    this.#buffer =
      this.#at === this.#buffer.length ? next.value : Buffer.concat([this.#buffer.subarray(this.#at), next.value]);
    this.#at = 0;
  }

  #lost(): Error {
    if (this.#error instanceof Error && 'exitCode' in this.#error) return this.#error;
    return redisError(this.#error ?? new Error('Connection is closed'), 'cannot go on', this.endpoint);
  }
}

/** A command in RESP. */
function commandOf(words: readonly (string | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word) : word;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, crlf);
  }
  return Buffer.concat(parts);
}

const crlf = Buffer.from('\r\n');

async function openSocket(endpoint: RedisEndpoint): Promise<Socket> {
  const place =
    endpoint.socketPath === undefined ? { host: endpoint.host, port: endpoint.port } : { path: endpoint.socketPath };
  const socket =
    endpoint.tls === undefined ? connectNet(place) : connectTls({ ...place, ...(await tlsOptions(endpoint.tls)) });
  await new Promise<void>((resolve, reject) => {
    socket.setTimeout(10_000, () => socket.destroy(new Error('it timed out')));
    socket.once('error', (error) => reject(redisError(error, 'cannot connect', endpoint)));
    socket.once(endpoint.tls === undefined ? 'connect' : 'secureConnect', () => resolve());
  });
  socket.setTimeout(0);
  socket.setNoDelay(true);
  return socket;
}
