/** Reads a tar (or a range of one) front to back: exact numbers of bytes, whatever pieces they come in. */
import { LifeboatError } from '../../lib/errors.ts';

export class TarCursor {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);
  #at = 0;
  #offset: number;

  /** `offset` is where in the tar the stream begins. */
  constructor(stream: AsyncIterable<Uint8Array>, offset: number) {
    this.#pieces = stream[Symbol.asyncIterator]();
    this.#offset = offset;
  }

  /** Passes over what lies before `offset`. */
  async skipTo(offset: number): Promise<void> {
    if (offset < this.#offset) throw new Error('a tar is read backwards');
    for await (const _ of this.pieces(offset - this.#offset));
  }

  /** The next `length` bytes in a buffer of their own. */
  async read(length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    let done = 0;
    for await (const piece of this.pieces(length)) {
      bytes.set(piece, done);
      done += piece.length;
    }
    return bytes;
  }

  /**
   * The next `length` bytes as they come; each piece is good until the next is asked for. Throws (integrity) if the
   * stream ends before.
   */
  async *pieces(length: number): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0;) {
      if (this.#at === this.#piece.length && !(await this.#next())) {
        throw new LifeboatError('integrity', 'cannot read files.tar: it ends too early');
      }
      const part = this.#piece.subarray(this.#at, this.#at + left);
      this.#at += part.length;
      this.#offset += part.length;
      left -= part.length;
      yield part;
    }
  }

  /** Reads to the end, so that all of it has been checked by who delivers it; there must be nothing but zeros. */
  async finish(): Promise<void> {
    for (;;) {
      if (this.#piece.subarray(this.#at).some((byte) => byte !== 0)) {
        throw new LifeboatError('integrity', 'cannot read files.tar: it holds more than files.catalog names');
      }
      if (!(await this.#next())) return;
    }
  }

  /** To be called when no more is read. */
  async close(): Promise<void> {
    await this.#pieces.return?.();
  }

  async #next(): Promise<boolean> {
    const next = await this.#pieces.next();
    if (next.done === true) return false;
    this.#piece = next.value;
    this.#at = 0;
    return true;
  }
}
