/**
 * Where a run of frames ends in a stream that goes on: each frame is a sign byte, a length of four bytes,
 * little-endian, and as many bytes; a frame of length 0 is the last. So pg_dump writes a table into an archive in the
 * custom format (WriteInt and _WriteBuf of its sources), and so one pipe can carry many tables. What is in a frame is
 * not looked at.
 */

const headBytes = 5;

/** One run: first the bytes that must begin it, then the frames. */
export class FrameRun {
  readonly #begin: Uint8Array;
  #begun = 0;
  /** Of the frame that is being passed over. */
  #left = 0;
  /** A frame's head that came in pieces. */
  readonly #head = new Uint8Array(headBytes);
  #headLength = 0;
  #isOver = false;

  constructor(begin: Uint8Array) {
    this.#begin = begin;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Looks at the stream's next bytes, those of `buffer` from `start` to `end`. Returns where the run ends in them;
   * `end` if it goes on, or ends just there. Throws for what is no such run.
   */
  advance(buffer: Uint8Array, start: number, end: number): number {
    let at = this.#passBegin(buffer, start, end);
    while (at < end && !this.#isOver) {
      const passed = Math.min(this.#left, end - at);
      at += passed;
      this.#left -= passed;
      if (at < end) at = this.#readHead(buffer, at, end);
    }
    return at;
  }

  #passBegin(buffer: Uint8Array, start: number, end: number): number {
    let at = start;
    for (; at < end && this.#begun < this.#begin.length; at++, this.#begun++) {
      if (buffer[at] !== this.#begin[this.#begun]) throw new Error('other data came than was announced');
    }
    return at;
  }

  #readHead(buffer: Uint8Array, at: number, end: number): number {
    if (this.#headLength === 0 && end - at >= headBytes) {
      this.#beginFrame(buffer, at);
      return at + headBytes;
    }
    const part = buffer.subarray(at, Math.min(end, at + headBytes - this.#headLength));
    this.#head.set(part, this.#headLength);
    this.#headLength += part.length;
    if (this.#headLength === headBytes) {
      this.#headLength = 0;
      this.#beginFrame(this.#head, 0);
    }
    return at + part.length;
  }

  #beginFrame(head: Uint8Array, at: number): void {
    const byte = (n: number): number => head[at + n] ?? 0;
    this.#left = byte(1) | (byte(2) << 8) | (byte(3) << 16) | (byte(4) << 24);
    if (byte(0) !== 0 || this.#left < 0) throw new Error('a frame has a length below zero');
    this.#isOver = this.#left === 0;
  }
}
