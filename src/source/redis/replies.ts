/**
 * A server's answer as a whole, for commands and settings. What it claims costs nothing: bytes, items and depth have
 * limits, which honest answers are far from, and callers take values out by the kind that they expect.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { BulkConnection, ReplyHead } from './bulk-connection.ts';

/** Texts are bytes until somebody reads them. */
export type Reply = number | null | Buffer | readonly Reply[];

/** SCAN gives a thousand keys at a time, FUNCTION DUMP all libraries, CLIENT LIST a line for each connection. */
const maxBytes = 64 * 1024 * 1024;
const maxItems = 1_000_000;
const maxDepth = 16;
/** Of an error, that much is told. */
const maxErrorChars = 300;

/** What the server answers instead of doing it. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
}

/** The next answer. Throws ServerError; LifeboatError (source) when the connection is of no use any more. */
export async function readReply(bulk: BulkConnection): Promise<Reply> {
  const head = await bulk.head();
  if (head.kind === 'error') throw new ServerError(head.text.slice(0, maxErrorChars));
  return valueOf(bulk, head, { bytes: maxBytes, items: maxItems }, 1);
}

/** What an answer may still take. */
interface Left {
  bytes: number;
  items: number;
}

async function valueOf(bulk: BulkConnection, head: ReplyHead, left: Left, depth: number): Promise<Reply> {
  switch (head.kind) {
    case 'simple':
      return Buffer.from(head.text, 'latin1');
    case 'error':
      throw bulk.refuse('an error in the middle of an answer');
    case 'integer':
      return head.value;
    case 'null':
      return null;
    case 'bulk':
      if ((left.bytes -= head.length) < 0) throw bulk.refuse(`an answer of more than ${maxBytes / 1024 / 1024} MiB`);
      return bulk.bodyOf(head.length);
    case 'array':
      return arrayOf(bulk, head.length, left, depth);
  }
}

async function arrayOf(bulk: BulkConnection, length: number, left: Left, depth: number): Promise<Reply> {
  if ((left.items -= length) < 0) throw bulk.refuse(`an answer of more than ${maxItems} items`);
  if (depth === maxDepth) throw bulk.refuse('an answer that is nested too deeply');
  const items: Reply[] = [];
  for (let n = 0; n < length; n++) items.push(await valueOf(bulk, await bulk.partHead(), left, depth + 1));
  return items;
}

/** The same with texts for bytes. */
export function textOf(reply: Reply): unknown {
  if (reply instanceof Buffer) return reply.toString();
  return Array.isArray(reply) ? reply.map(textOf) : reply;
}

/** A text as it stands in an answer; throws LifeboatError (source) for anything else. */
export function textIn(reply: unknown): string {
  if (typeof reply === 'string') return reply;
  throw unexpected();
}

/** A list; throws LifeboatError (source) for anything else. */
export function listIn(reply: unknown): readonly unknown[] {
  if (Array.isArray(reply)) return reply;
  throw unexpected();
}

/** A list of texts; throws LifeboatError (source) for anything else. */
export function textsIn(reply: unknown): string[] {
  return listIn(reply).map(textIn);
}

/** A list of byte strings; throws LifeboatError (source) for anything else. */
export function bytesIn(reply: unknown): Buffer[] {
  return listIn(reply).map((each) => {
    if (each instanceof Buffer) return each;
    throw unexpected();
  });
}

function unexpected(): LifeboatError {
  return new LifeboatError('source', 'the Redis server gave an answer of another kind than asked for', {
    hint: 'see that a Redis server listens there, and that nobody stands between',
  });
}
