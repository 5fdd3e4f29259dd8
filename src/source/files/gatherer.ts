/** The blocks of memory that a tar is put together in. */

/** Size of a block. */
export const pieceBytes = 1024 * 1024;

/** Small things side by side in one block, handed on when it is full; and two spare blocks for what is big. */
export class Gatherer {
  readonly #block = Buffer.allocUnsafe(pieceBytes);
  readonly #spares = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)] as const;
  #length = 0;

  *add(bytes: Buffer): Generator<Uint8Array> {
    for (let from = 0; from < bytes.length;) {
      const copied = bytes.copy(this.#block, this.#length, from);
      this.#length += copied;
      from += copied;
      if (this.#length === pieceBytes) yield* this.flush();
    }
  }

  *flush(): Generator<Uint8Array> {
    if (this.#length === 0) return;
    const full = this.#block.subarray(0, this.#length);
    this.#length = 0;
    yield full;
  }

  spare(turn: number): Buffer {
    return turn === 0 ? this.#spares[0] : this.#spares[1];
  }
}
