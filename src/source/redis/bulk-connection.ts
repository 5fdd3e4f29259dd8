/**
 * A bare RESP connection for DUMP and RESTORE of very many or very large values: bodies stream in pieces
 * both ways, so that a value of half a gigabyte costs no memory, which a general client cannot do.
 * Replies come in the order of the commands; the caller keeps the count. Whoever answers is not trusted: lines, lengths
 * and the time of waiting have limits, and what does not keep to them ends the connection.
 */
import type { Socket } from 'node:net';
import type { LifeboatError } from '../../lib/errors.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { redisError } from './errors.ts';
import { answerMs, commandOf, maxLineBytes, movedBytes, notProtocol, refusedAnswer, silentServer } from './protocol.ts';
import { connectMs, openSocket } from './socket.ts';

/** The head of a reply; bodies of kind 'bulk' are still to be read. */
export type ReplyHead =
  | { readonly kind: 'simple' | 'error'; readonly text: string }
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'array' | 'bulk'; readonly length: number }
  | { readonly kind: 'null' };

export class BulkConnection implements AsyncDisposable {
  readonly endpoint: RedisEndpoint;
  #patienceMs = connectMs;
  readonly #socket: Socket;
  readonly #incoming: AsyncIterator<Buffer>;
  readonly #unlisten: () => void;
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;
  #error: unknown;
  #lostBy: LifeboatError | undefined;
  /** Of the time that may be waited: this much is left for what is awaited now, which has brought so many bytes. */
  #leftMs = connectMs;
  #broughtBytes = 0;
  /** It has kept us waiting for too long. */
  isSilent = false;

  private constructor(socket: Socket, endpoint: RedisEndpoint, signal: AbortSignal | undefined) {
    this.endpoint = endpoint;
    this.#socket = socket;
    this.#incoming = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    socket.on('error', (error) => (this.#error ??= error));
    const onAbort = (): void => void socket.destroy(signal?.reason instanceof Error ? signal.reason : undefined);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#unlisten = () => signal?.removeEventListener('abort', onAbort);
  }

  /**
   * Connects, logs in and hears a first answer. Throws LifeboatError (source), also later when an answer does not come
   * within `patienceMs`.
   */
  static async open(
    endpoint: RedisEndpoint,
    signal: AbortSignal | undefined,
    patienceMs = answerMs,
  ): Promise<BulkConnection> {
    const connection = new BulkConnection(await openSocket(endpoint, signal), endpoint, signal);
    try {
      await connection.#logIn();
      await connection.#greet();
      connection.#patienceMs = patienceMs;
      return connection;
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      signal?.throwIfAborted();
      throw error;
    }
  }

  async #logIn(): Promise<void> {
    const { user, password } = this.endpoint;
    if (password === undefined) return;
    await this.send(commandOf(['AUTH', ...(user === undefined ? [] : [user]), password.reveal()]));
    const reply = await this.head();
    // A password that nobody asked for does no harm.
    if (reply.kind !== 'error' || /without any password configured|no password is set/i.test(reply.text)) return;
    throw redisError(new Error(reply.text), 'cannot connect', this.endpoint);
  }

  /** A user without the right to PING is logged in all the same. */
  async #greet(): Promise<void> {
    await this.send(commandOf(['PING']));
    const reply = await this.head();
    if (reply.kind === 'simple' || (reply.kind === 'error' && reply.text.includes('NOPERM'))) return;
    if (reply.kind !== 'error') throw this.refuse('an answer of another kind than asked for');
    throw redisError(new Error(reply.text), 'cannot connect', this.endpoint);
  }

  /** Sends a command and wants +OK. Only while no other reply is due. */
  async expectOk(...words: readonly string[]): Promise<void> {
    await this.send(commandOf(words));
    const reply = await this.head();
    if (reply.kind === 'error') throw redisError(new Error(reply.text), `cannot run ${words[0] ?? ''}`, this.endpoint);
    if (reply.kind !== 'simple') throw this.refuse('an answer of another kind than asked for');
  }

  /** Sends bytes; waits when the server is slow to take them. The buffer must not be changed afterwards. */
  async send(bytes: Uint8Array): Promise<void> {
    if (this.#socket.destroyed) throw this.#lost();
    if (this.#socket.write(bytes)) return;
    const timer = setTimeout(() => this.#socket.destroy(this.#silent()), this.#patienceMs);
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done).off('close', done);
        resolve();
      };
      this.#socket.on('drain', done).on('close', done);
    });
    clearTimeout(timer);
    if (this.#socket.destroyed) throw this.#lost();
  }

  /** The next reply's first line. */
  async head(): Promise<ReplyHead> {
    this.#moved();
    return this.#parse(this.lineAtOnce() ?? (await this.#line()));
  }

  /** Passes over replies that only have to be no errors; gives the first error there was. */
  async pass(count: number): Promise<string | undefined> {
    let error: string | undefined;
    for (let n = 0; n < count; n++) {
      this.#moved();
      const line = this.lineAtOnce() ?? (await this.#line());
      if (line[0] === '-') error ??= line.slice(1);
      else if (line[0] !== '+') throw this.refuse('an answer of another kind than asked for');
    }
    return error;
  }

  #parse(line: string): ReplyHead {
    const rest = line.slice(1);
    if (line[0] === '+') return { kind: 'simple', text: rest };
    if (line[0] === '-') return { kind: 'error', text: rest };
    if (line[0] === ':' && /^-?\d{1,19}$/.test(rest)) return { kind: 'integer', value: Number(rest) };
    if (line === '$-1' || line === '*-1') return { kind: 'null' };
    const kind = line[0] === '$' ? 'bulk' : line[0] === '*' ? 'array' : undefined;
    if (kind === undefined || !/^\d{1,15}$/.test(rest)) throw this.refuse(notProtocol);
    return { kind, length: Number(rest) };
  }

  /** Ends the connection; gives the error that says what the server sent. */
  refuse(what: string): LifeboatError {
    const error = refusedAnswer(this.endpoint, what);
    this.#error ??= error;
    this.#socket.destroy();
    return error;
  }

  /** The body of a bulk reply in pieces, valid until the next call. Must be read to its end. */
  async *body(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0;) {
      if (this.#at === this.#buffer.length) await this.#more();
      if (this.#broughtBytes >= movedBytes) this.#moved();
      const piece = this.#buffer.subarray(this.#at, Math.min(this.#buffer.length, this.#at + left));
      this.#at += piece.length;
      left -= piece.length;
      yield piece;
    }
    while (this.#buffer.length - this.#at < 2) await this.#more();
    if (this.#buffer.toString('latin1', this.#at, this.#at + 2) !== '\r\n') {
      throw this.refuse(notProtocol);
    }
    this.#at += 2;
  }

  /** All that comes from now on, as it comes: a snapshot. Pieces are valid until the next call. */
  async *pieces(): AsyncGenerator<Buffer, never> {
    this.#moved();
    for (;;) {
      if (this.#at === this.#buffer.length) await this.#more();
      if (this.#broughtBytes >= movedBytes) this.#moved();
      const piece = this.#buffer.subarray(this.#at);
      this.#at = this.#buffer.length;
      yield piece;
    }
  }

  /** A body that is there already as a whole (small values): a view, or undefined. */
  bodyAtOnce(length: number): Buffer | undefined {
    if (!(length >= 0 && this.#buffer.length - this.#at >= length + 2)) return undefined;
    const start = this.#at;
    this.#at += length + 2;
    return this.#buffer.subarray(start, start + length);
  }

  /** The next line if it is there already. */
  lineAtOnce(): string | undefined {
    const end = this.#buffer.indexOf('\r\n', this.#at, 'latin1');
    if (end === -1 ? this.#buffer.length - this.#at > maxLineBytes : end - this.#at > maxLineBytes) {
      throw this.refuse('a line without end');
    }
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
    const since = performance.now();
    const timer = setTimeout(() => this.#socket.destroy(this.#silent()), this.#leftMs);
    const next = await this.#incoming.next().catch((error: unknown) => {
      this.#error ??= error;
      return { done: true as const, value: undefined };
    });
    clearTimeout(timer);
    if (next.done === true || next.value === undefined) throw this.#lost();
    this.#leftMs = Math.max(1, this.#leftMs - (performance.now() - since));
    this.#broughtBytes += next.value.length;
    this.#buffer =
      this.#at === this.#buffer.length ? next.value : Buffer.concat([this.#buffer.subarray(this.#at), next.value]);
    this.#at = 0;
  }

  /** What is awaited from now on has all the time again. */
  #moved(): void {
    this.#leftMs = this.#patienceMs;
    this.#broughtBytes = 0;
  }

  #silent(): LifeboatError {
    this.isSilent = true;
    return silentServer(this.endpoint, this.#patienceMs);
  }

  /** True for the error of a connection that the other side has ended. */
  isLost(error: unknown): boolean {
    return error !== undefined && error === this.#lostBy;
  }

  #lost(): Error {
    if (this.#error instanceof Error && 'exitCode' in this.#error) return this.#error;
    return (this.#lostBy ??= redisError(
      this.#error ?? new Error('Connection is closed'),
      'cannot go on',
      this.endpoint,
    ));
  }
}
