/**
 * Reads keys by DUMP, each with its expiry in one MULTI, many at a time but never more than a few MiB
 * ahead of the reader, so that neither side has to hold the database in memory.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { BulkConnection, ReplyHead } from './bulk-connection.ts';
import { Crc64 } from './rdb/crc64.ts';
import { keyOf } from './rdb/writer.ts';
import type { RdbFileWriter } from './rdb-file-writer.ts';
import { redisError } from './errors.ts';

/** Version (2 bytes) and checksum (8 bytes) that end a DUMP payload. */
export const footerBytes = 10;
/** What one batch should bring, by the mean size of what came lately. */
const batchBytes = 2 * 1024 * 1024;
const maxBatch = 256;

/** A payload is of another RDB version than the file it should go into. */
export class OtherRdbVersionError extends LifeboatError {
  override readonly name = 'OtherRdbVersionError';
  readonly found: number;

  constructor(found: number) {
    super('source', `the Redis server gives values of RDB version ${found}, not of the one expected`, {
      retryable: true,
    });
    this.found = found;
  }
}

export interface KeyDumperOptions {
  readonly bulk: BulkConnection;
  readonly out: RdbFileWriter;
  readonly rdbVersion: number;
  /** PEXPIRETIME is there from 7.0 on; before, PTTL and TIME in the same transaction say the same. */
  readonly hasExpireTime: boolean;
}

export class KeyDumper {
  /** Keys that were gone when they were to be read. */
  vanished = 0;
  readonly #bulk: BulkConnection;
  readonly #out: RdbFileWriter;
  readonly #rdbVersion: number;
  readonly #absolute: boolean;
  #meanBytes = batchBytes / 16;

  constructor(options: KeyDumperOptions) {
    this.#bulk = options.bulk;
    this.#out = options.out;
    this.#rdbVersion = options.rdbVersion;
    this.#absolute = options.hasExpireTime;
  }

  /** Reads keys of the selected database (latin1, one character a byte) into the file. */
  async dump(keys: Iterable<string>): Promise<void> {
    // Two batches are under way: one is read while the server works on the next.
    let sent: string[] = [];
    let batch: string[] = [];
    const exchange = async (): Promise<void> => {
      if (batch.length > 0) {
        await this.#bulk.send(Buffer.from(batch.map((key) => this.#request(key)).join(''), 'latin1'));
      }
      for (const key of sent) if (!this.#receiveAtOnce(key)) await this.#receive(key);
      sent = batch;
      batch = [];
    };
    for (const key of keys) {
      batch.push(key);
      if (batch.length >= Math.min(maxBatch, batchBytes / this.#meanBytes)) await exchange();
    }
    await exchange();
    await exchange();
  }

  #request(key: string): string {
    const word = `$${key.length}\r\n${key}\r\n`;
    const expiry = this.#absolute
      ? `*2\r\n$11\r\nPEXPIRETIME\r\n${word}`
      : `*2\r\n$4\r\nPTTL\r\n${word}*1\r\n$4\r\nTIME\r\n`;
    return `*1\r\n$5\r\nMULTI\r\n${expiry}*2\r\n$4\r\nDUMP\r\n${word}*1\r\n$4\r\nEXEC\r\n`;
  }

  /**
   * The common case without a promise: the whole answer is in the buffer, and there is room in the writer's. False:
   * nothing was consumed.
   */
  #receiveAtOnce(key: string): boolean {
    if (!this.#absolute) return false;
    const mark = this.#bulk.mark();
    const done = this.#receiveBetween(key);
    if (!done) this.#bulk.rewind(mark);
    return done;
  }

  #receiveBetween(key: string): boolean {
    for (let n = 0; n < 4; n++) {
      const line = this.#bulk.lineAtOnce();
      if (line === undefined || line !== (n === 0 ? '+OK' : n === 3 ? '*2' : '+QUEUED')) return false;
    }
    const expiry = this.#bulk.lineAtOnce();
    const head = this.#bulk.lineAtOnce();
    if (expiry?.[0] !== ':' || head?.[0] !== '$' || head === '$-1') return false;
    const payload = this.#bulk.bodyAtOnce(Number(head.slice(1)));
    // What is odd is judged where it can be waited for.
    if (payload === undefined || payload.length <= footerBytes) return false;
    const expireAtMs = Number(expiry.slice(1));
    const start = keyOf(Buffer.from(key, 'latin1'), typeIn(payload), expireAtMs < 0 ? undefined : expireAtMs);
    const length = payload.length;
    if (!this.#out.hasRoom(start.length + length)) return false;
    this.#checkFooter(new Crc64().update(payload, 0, length - 8), payload.subarray(length - footerBytes));
    this.#out.writeAtOnce(start);
    this.#out.writeAtOnce(payload.subarray(1, length - footerBytes));
    this.#meanBytes = this.#meanBytes * 0.9 + length * 0.1 + 1;
    return true;
  }

  async #receive(key: string): Promise<void> {
    const commands = this.#absolute ? 2 : 3;
    // +OK, +QUEUED for each command, and the head of EXEC's array.
    const error = await this.#bulk.pass(commands + 1);
    const all = await this.#bulk.head();
    const refusal = error ?? (all.kind === 'error' ? all.text : undefined);
    if (refusal !== undefined) throw redisError(new Error(refusal), 'cannot read a key', this.#bulk.endpoint);
    const isWhole = all.kind === 'array' && all.length === commands;
    if (!isWhole) throw this.#bulk.refuse('an answer of another kind than asked for');
    const expireAtMs = await this.#expiry();
    const reply = await this.#bulk.head();
    this.#refuse(reply);
    if (reply.kind === 'null') {
      this.vanished++;
      return;
    }
    if (reply.kind !== 'bulk' || reply.length <= footerBytes) throw this.#bulk.refuse('a value that is none');
    this.#meanBytes = this.#meanBytes * 0.9 + reply.length * 0.1 + 1;
    this.#out.announce(reply.length);
    await this.#payload(key, expireAtMs, reply.length);
  }

  async #expiry(): Promise<number | undefined> {
    const ttl = await this.#bulk.head();
    this.#refuse(ttl);
    if (ttl.kind !== 'integer') throw this.#bulk.refuse('a time that is none');
    const { value } = ttl;
    if (this.#absolute) return value < 0 ? undefined : value;
    this.#refuse(await this.#bulk.head());
    const [seconds, micros] = [await this.#number(), await this.#number()];
    return value < 0 ? undefined : seconds * 1000 + Math.floor(micros / 1000) + value;
  }

  async #number(): Promise<number> {
    const head = await this.#bulk.head();
    if (head.kind !== 'bulk' || head.length > 20) throw this.#bulk.refuse('a time that is none');
    return Number((await this.#bulk.bodyOf(head.length)).toString('latin1'));
  }

  /** Streams a payload into the file, all but its footer, which is checked. */
  async #payload(key: string, expireAtMs: number | undefined, length: number): Promise<void> {
    const whole = this.#bulk.bodyAtOnce(length);
    const crc = new Crc64();
    if (whole !== undefined) {
      const footer = whole.subarray(length - footerBytes);
      this.#checkFooter(crc.update(whole, 0, length - 8), footer);
      await this.#out.write(keyOf(Buffer.from(key, 'latin1'), typeIn(whole), expireAtMs));
      await this.#out.write(whole.subarray(1, length - footerBytes));
      return;
    }
    await this.#longPayload(key, expireAtMs, length, crc);
  }

  async #longPayload(key: string, expireAtMs: number | undefined, length: number, crc: Crc64): Promise<void> {
    const footer = Buffer.alloc(footerBytes);
    let at = 0;
    for await (const piece of this.#bulk.body(length)) {
      let value = piece.subarray(0, Math.max(0, Math.min(piece.length, length - footerBytes - at)));
      piece.subarray(value.length).copy(footer, Math.max(0, at + value.length - (length - footerBytes)));
      crc.update(value);
      if (at === 0 && value.length > 0) {
        await this.#out.write(keyOf(Buffer.from(key, 'latin1'), typeIn(value), expireAtMs));
        value = value.subarray(1);
      }
      at += piece.length;
      await this.#out.write(value);
    }
    this.#checkFooter(crc.update(footer, 0, 2), footer);
  }

  #refuse(reply: ReplyHead): void {
    if (reply.kind === 'error') throw redisError(new Error(reply.text), 'cannot read a key', this.#bulk.endpoint);
  }

  #checkFooter(crc: Crc64, footer: Buffer): void {
    if (footer.readUInt16LE() !== this.#rdbVersion) throw new OtherRdbVersionError(footer.readUInt16LE());
    if (!footer.subarray(2).equals(crc.digest())) {
      throw new LifeboatError('integrity', 'a value arrived damaged from the Redis server', { retryable: true });
    }
  }
}

/** A payload begins with its type, or with what modules have added to the key (Redis 8.6). */
function typeIn(payload: Buffer): number {
  const code = payload[0] ?? 0;
  if (code < firstOpcode) return code;
  throw new LifeboatError('tool', 'cannot read Redis key by key: modules have added metadata to a key', {
    hint: 'give the user the rights +sync +psync +replconf, so that a snapshot is taken over replication',
  });
}

/** Codes from here on are no types (Redis' rdb.h). */
const firstOpcode = 240;
