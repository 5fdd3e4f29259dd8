/**
 * One SFTP session: requests go out over a pipe with a number each, and answers come back in any order. A session that
 * ends, falls silent or sends what is no answer fails all that wait for it, once and for all.
 */
import type { Readable, Writable } from 'node:stream';
import { MalformedError, packet, PacketReader, packetType, statusCode, uint32 } from './packets.ts';

/** The server said no to a request. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  /** As in `statusCode`; servers have more. */
  readonly code: number;

  /** `said` are the server's own words. */
  constructor(code: number, said: string) {
    super(said === '' ? `status ${code}` : said);
    this.code = code;
  }
}

/** The session is over, and with it every request that was not answered: whether it was carried out is not known. */
export class SessionLostError extends Error {
  override readonly name = 'SessionLostError';
}

/** An answer from its type on. */
export interface Answer {
  readonly type: number;
  readonly reader: PacketReader;
}

export interface ChannelOptions {
  /** With requests open, so long without a byte is the end of the session. */
  readonly idleTimeoutMs: number;
  /** Called once, with why, when the session is over. */
  readonly onLost: (why: SessionLostError) => void;
}

/** What OpenSSH takes at most, and a little: nothing larger is waited for. */
const mostPacketBytes = 256 * 1024 + 1024;

export class Channel {
  readonly #stdin: Writable;
  readonly #options: ChannelOptions;
  readonly #waiting = new Map<number, PromiseWithResolvers<Answer>>();
  readonly #hello = Promise.withResolvers<PacketReader>();
  readonly #watch: NodeJS.Timeout;
  #lost: SessionLostError | undefined;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #nextId = 1;
  #heardAt = performance.now();

  constructor(stdin: Writable, stdout: Readable, options: ChannelOptions) {
    this.#stdin = stdin;
    this.#options = options;
    this.#hello.promise.catch(() => {});
    stdout.on('data', (piece: Buffer) => this.#receive(piece));
    stdout.on('end', () => this.lose('the connection was closed'));
    stdout.on('error', (error) => this.lose(error.message));
    stdin.on('error', (error) => this.lose(error.message));
    this.#watch = setInterval(() => this.#checkSilence(), Math.min(1000, options.idleTimeoutMs / 4));
  }

  /** Greets the server; the names and values of its extensions. Throws SessionLostError, MalformedError. */
  async begin(): Promise<ReadonlyMap<string, string>> {
    this.#heardAt = performance.now();
    this.#stdin.write(packet(packetType.init, uint32(3)));
    const reader = await this.#hello.promise;
    const version = reader.uint32();
    if (version < 3) throw new MalformedError(`the server speaks version ${version} of SFTP, not 3`);
    const extensions = new Map<string, string>();
    while (!reader.isAtEnd) extensions.set(reader.string().toString(), reader.string().toString('latin1'));
    return extensions;
  }

  /** Rejects with SessionLostError. `fields` as for packet(), behind the number. */
  async request(
    type: number,
    ...fields: Parameters<typeof packet> extends [number, ...infer Rest] ? Rest : never
  ): Promise<Answer> {
    if (this.#lost !== undefined) throw this.#lost;
    const id = this.#nextId++ >>> 0;
    const waiting = Promise.withResolvers<Answer>();
    if (this.#waiting.size === 0) this.#heardAt = performance.now();
    this.#waiting.set(id, waiting);
    this.#stdin.write(packet(type, uint32(id), ...fields));
    return waiting.promise;
  }

  /** Resolves when the pipe takes more, so that no more than a window of a body is in memory. */
  async drained(): Promise<void> {
    if (this.#lost !== undefined || !this.#stdin.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#stdin.off('drain', done).off('close', done);
        resolve();
      };
      this.#stdin.on('drain', done).on('close', done);
    });
  }

  /** Ends the session. */
  lose(reason: string): void {
    if (this.#lost !== undefined) return;
    const lost = (this.#lost = new SessionLostError(reason));
    clearInterval(this.#watch);
    this.#hello.reject(lost);
    for (const each of this.#waiting.values()) each.reject(lost);
    this.#waiting.clear();
    this.#stdin.destroy();
    this.#options.onLost(lost);
  }

  #receive(piece: Buffer): void {
    if (this.#lost !== undefined) return;
    this.#heardAt = performance.now();
    this.#pieces.push(piece);
    this.#pieceBytes += piece.length;
    try {
      for (let next = this.#nextPacket(); next !== undefined; next = this.#nextPacket()) this.#handle(next);
    } catch (error) {
      this.lose(error instanceof Error ? error.message : String(error));
    }
  }

  #nextPacket(): Buffer | undefined {
    if (this.#pieceBytes < 4) return undefined;
    const bytes = this.#peek(4).readUInt32BE();
    if (bytes < 1 || bytes > mostPacketBytes) {
      throw new MalformedError(`the server announced a packet of ${bytes} bytes: that is not SFTP`);
    }
    if (this.#pieceBytes < 4 + bytes) return undefined;
    const whole = this.#peek(4 + bytes);
    const [first = Buffer.alloc(0), ...rest] = this.#pieces;
    this.#pieces = [first.subarray(4 + bytes), ...rest];
    this.#pieceBytes -= 4 + bytes;
    return whole.subarray(4);
  }

  /** The first bytes of what has come, in one piece. */
  #peek(bytes: number): Buffer {
    const [first] = this.#pieces;
    if (first !== undefined && first.length >= bytes) return first.subarray(0, bytes);
    const joined = Buffer.concat(this.#pieces);
    this.#pieces = [joined];
    return joined.subarray(0, bytes);
  }

  #handle(bytes: Buffer): void {
    const reader = new PacketReader(bytes);
    const type = reader.byte();
    if (type === packetType.version) {
      this.#hello.resolve(reader);
      return;
    }
    const id = reader.uint32();
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) throw new MalformedError('the server answered what was not asked');
    this.#waiting.delete(id);
    waiting.resolve({ type, reader });
  }

  #checkSilence(): void {
    if (this.#waiting.size === 0) return;
    const silentMs = performance.now() - this.#heardAt;
    if (silentMs >= this.#options.idleTimeoutMs) this.lose(`no answer for ${Math.round(silentMs / 1000)} s`);
  }
}

/** The status in an answer, or undefined where it is another one. */
export function statusOf({ type, reader }: Answer): StatusError | undefined {
  if (type !== packetType.status) return undefined;
  const code = reader.uint32();
  // Some old servers leave the message out.
  const said = reader.isAtEnd ? '' : reader.string().subarray(0, 1000).toString();
  return new StatusError(code, said);
}

/** Throws StatusError, unless the answer is of that type; a status of success is one without more. */
export function expectType(answer: Answer, type: number): PacketReader {
  if (answer.type === type) return answer.reader;
  throw statusOf(answer) ?? new MalformedError(`the server answered with a packet of type ${answer.type}`);
}

/** Throws StatusError unless it was done. */
export function expectOk(answer: Answer): void {
  const status = statusOf(answer);
  if (status === undefined) throw new MalformedError(`the server answered with a packet of type ${answer.type}`);
  if (status.code !== statusCode.ok) throw status;
}
