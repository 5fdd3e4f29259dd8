/**
 * Bytes of an RDB file as its reader wants them: a buffer that is refilled from a stream, the offset in
 * the file, and the checksum over all that was consumed. Never holds more than one chunk of the stream
 * and what the reader asked to have together.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import { Crc64 } from './crc64.ts';

/** The longest string Redis itself takes; a longer key or function is damage (or an attack). */
export const maxStringBytes = 512 * 1024 * 1024;

export class RdbInput {
  /** Valid from `at` to its end; replaced by fill(). */
  buffer: Buffer = Buffer.alloc(0);
  at = 0;
  /** No more bytes will come. */
  ended = false;
  readonly crc = new Crc64();
  #crcAt = 0;
  #base = 0;
  readonly #chunks: AsyncIterator<Uint8Array>;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** Where the next byte stands in the file. */
  get offset(): number {
    return this.#base + this.at;
  }

  get available(): number {
    return this.buffer.length - this.at;
  }

  /** Waits until `bytes` are there, or the end. */
  async fill(bytes: number): Promise<void> {
    if (this.available >= bytes || this.ended) return;
    const pieces = [this.buffer.subarray(this.at)];
    let have = this.available;
    this.checksum();
    this.#base += this.at;
    while (have < bytes && !this.ended) {
      const next = await this.#chunks.next();
      if (next.done === true) {
        this.ended = true;
        break;
      }
      have += next.value.length;
      // Copied: the producer may reuse its buffer.
      pieces.push(Buffer.from(next.value));
    }
    this.buffer = pieces.length === 2 && pieces[0]?.length === 0 ? (pieces[1] as Buffer) : Buffer.concat(pieces, have);
    this.at = 0;
    this.#crcAt = 0;
  }

  /**
   * Exactly `length` bytes, as a view that is valid until the next fill. Hostile lengths cost no memory: bytes are kept
   * only as they come.
   */
  async take(length: number): Promise<Buffer> {
    if (length > maxStringBytes) throw damaged(this.offset, `a string of ${length} bytes`);
    if (this.available < length) await this.fill(length);
    if (this.available < length) throw truncated(this.offset);
    this.at += length;
    return this.buffer.subarray(this.at - length, this.at);
  }

  /** Brings the checksum up to the current place. */
  checksum(): void {
    this.crc.update(this.buffer, this.#crcAt, this.at);
    this.#crcAt = this.at;
  }

  /** Gives up the stream. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

/** The file ends too early. */
export function truncated(offset: number): LifeboatError {
  return damaged(offset, 'it ends in the middle');
}

/** The file is not a sound RDB file; `offset` in bytes from its start. */
export function damaged(offset: number, what: string): LifeboatError {
  return new LifeboatError('integrity', `cannot read the Redis snapshot: ${what} (at byte ${offset})`);
}
