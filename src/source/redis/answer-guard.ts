/**
 * What a Redis server answers, looked at before ioredis sees it, which takes any length for true: lines, bytes, items
 * and depth have limits, which honest answers are far from. Strict where a reader might be led to see another answer
 * than this one does: a line ends with CRLF and holds neither alone. (Redis serialization protocol, RESP2.)
 */
import type { Socket } from 'node:net';
import { maxLineBytes, notProtocol } from './protocol.ts';

/** SCAN gives a thousand keys at a time, FUNCTION DUMP all libraries, CLIENT LIST a line for each connection. */
const maxBytes = 64 * 1024 * 1024;
const maxItems = 1_000_000;
const maxDepth = 16;

/** What a line of an answer may begin with: a reader that skips the end of a line unseen must find it there. */
const begunLine = /^(?:[+-][^\r]*|:(?:-?\d{0,19})|[$*](?:\d{0,15}|-1?))\r?$/;

/** Nothing of what `socket` receives reaches its readers from the first fault on; `refuse` is told what it was. */
export function guardAnswers(socket: Socket, refuse: (what: string) => void): void {
  const guard = new AnswerGuard();
  const push = socket.push.bind(socket);
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let asked = 0;
  // ioredis writes each command by a call of its own, and knows no answer that nobody asked for.
  socket.write = (...args: unknown[]): boolean => {
    asked++;
    return write(...args);
  };
  let isRefused = false;
  socket.push = (chunk: Buffer | null): boolean => {
    if (isRefused) return false;
    let fault = chunk === null ? undefined : guard.faultIn(chunk);
    if (guard.answersBegun > asked) fault ??= 'an answer that nobody asked for';
    if (fault === undefined) return push(chunk);
    isRefused = true;
    refuse(fault);
    return false;
  };
}

/** Follows answers as they come in pieces. */
export class AnswerGuard {
  /** How many have come whole. */
  #answers = 0;
  #line = '';
  /** Of a body, with the CRLF behind it. */
  #bodyLeft = 0;
  /** Items that are still to come, of each list that is open. */
  readonly #open: number[] = [];
  /** What the answer that has begun may still take. */
  #bytesLeft = maxBytes;
  #itemsLeft = maxItems;

  /** How many have come, the one that is still coming counted: a reader may take it for whole before we do. */
  get answersBegun(): number {
    return this.#answers + (this.#line !== '' || this.#bodyLeft > 0 || this.#open.length > 0 ? 1 : 0);
  }

  /** What is wrong with them now; undefined: nothing. Of no use after the first fault. */
  faultIn(piece: Buffer): string | undefined {
    for (let at = 0; at < piece.length;) {
      if (this.#bodyLeft > 0) {
        const taken = Math.min(this.#bodyLeft, piece.length - at);
        at += taken;
        this.#bodyLeft -= taken;
        if (this.#bodyLeft === 0) this.#itemEnded();
        continue;
      }
      const end = piece.indexOf('\n', at);
      const text = piece.toString('latin1', at, end === -1 ? piece.length : end);
      if (this.#line.length + text.length > maxLineBytes) return 'a line without end';
      this.#line += text;
      if (end === -1) return begunLine.test(this.#line) ? undefined : notProtocol;
      at = end + 1;
      const fault = this.#takeLine();
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #takeLine(): string | undefined {
    const line = this.#line.slice(0, -1);
    if (!this.#line.endsWith('\r') || line.includes('\r')) return notProtocol;
    this.#line = '';
    if (line.startsWith('-') && this.#open.length > 0) return 'an error in the middle of an answer';
    if (/^(?:[+-]|:-?\d{1,19}$|\$-1$|\*-1$)/.test(line)) return this.#itemEnded();
    const length = /^[$*]\d{1,15}$/.test(line) ? Number(line.slice(1)) : undefined;
    if (length === undefined) return notProtocol;
    return line.startsWith('$') ? this.#beginBody(length) : this.#beginList(length);
  }

  #beginBody(length: number): string | undefined {
    if ((this.#bytesLeft -= length) < 0) return `an answer of more than ${maxBytes / 1024 / 1024} MiB`;
    this.#bodyLeft = length + '\r\n'.length;
    return undefined;
  }

  #beginList(length: number): string | undefined {
    if ((this.#itemsLeft -= length) < 0) return `an answer of more than ${maxItems} items`;
    if (this.#open.length === maxDepth - 1) return 'an answer that is nested too deeply';
    if (length === 0) return this.#itemEnded();
    this.#open.push(length);
    return undefined;
  }

  /** Ends the lists whose last item it was. */
  #itemEnded(): undefined {
    for (let left = this.#open.pop(); left !== undefined; left = this.#open.pop()) {
      if (left === 1) continue;
      this.#open.push(left - 1);
      return;
    }
    this.#answers++;
    this.#bytesLeft = maxBytes;
    this.#itemsLeft = maxItems;
  }
}
