/**
 * What all that speaks Redis' protocol with a server agrees on (Redis serialization protocol, RESP2): how commands are
 * written, what answers may take of memory and time, and how it is told what nobody honest sends.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RedisEndpoint } from './endpoint.ts';

/** A status, an error, a number or a length; longer lines are refused. */
export const maxLineBytes = 64 * 1024;
/** How long the server may let us wait for an answer, or for the next piece of a long one. */
export const answerMs = 120_000;
/** A long answer that brings so much has moved. */
export const movedBytes = 64 * 1024;
/** For refusedAnswer. */
export const notProtocol = 'something that is not its protocol';

/** A command. */
export function commandOf(words: readonly (string | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word) : word;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, crlf);
  }
  return Buffer.concat(parts);
}

const crlf = Buffer.from('\r\n');

/** What a server sent that no honest one does. */
export function refusedAnswer({ text }: Pick<RedisEndpoint, 'text'>, what: string): LifeboatError {
  return new LifeboatError('source', `Redis at ${text} sent ${what}`, {
    hint: 'see that a Redis server listens there, and that nobody stands between; rediss:// is for TLS ports',
  });
}

/** A server that has kept us waiting for longer than `ms`. */
export function silentServer({ text }: Pick<RedisEndpoint, 'text'>, ms: number): LifeboatError {
  return new LifeboatError('source', `Redis at ${text} has not answered for ${Math.round(ms / 1000)} s`, {
    hint: 'see whether the server is busy or hangs (SLOWLOG GET), then repeat',
    retryable: true,
  });
}
