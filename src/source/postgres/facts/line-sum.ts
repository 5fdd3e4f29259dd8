/**
 * A sum over the lines of a stream that does not depend on their order: of each line the first 16 bytes of its
 * SHA-256, as a number, added modulo 2^128. Memory does not grow, however many lines there are and however long.
 */
import { type Hash, createHash, hash } from 'node:crypto';

const lineFeed = 10;
/** Sums are modulo two to this. */
export const sumBits = 128;

export class LineSum {
  #lines = 0n;
  #sum = 0n;
  /** Of a line that has begun in an earlier piece. */
  #begun: Hash | undefined;

  /** Lines that have ended. */
  get lines(): bigint {
    return this.#lines;
  }

  /** Below 2^128. */
  get sum(): bigint {
    return this.#sum;
  }

  /** The stream's next piece; lines end by a line feed, which does not count to them. */
  add(piece: Uint8Array): void {
    let start = 0;
    for (let end = piece.indexOf(lineFeed); end >= 0; end = piece.indexOf(lineFeed, start)) {
      this.#count(this.#digest(piece.subarray(start, end)));
      start = end + 1;
    }
    if (start < piece.length) (this.#begun ??= createHash('sha256')).update(piece.subarray(start));
  }

  #digest(lineEnd: Uint8Array): Buffer {
    if (this.#begun === undefined) return hash('sha256', lineEnd, 'buffer');
    const digest = this.#begun.update(lineEnd).digest();
    this.#begun = undefined;
    return digest;
  }

  #count(digest: Buffer): void {
    this.#lines++;
    const value = (digest.readBigUInt64BE(0) << 64n) | digest.readBigUInt64BE(8);
    this.#sum = BigInt.asUintN(sumBits, this.#sum + value);
  }
}
