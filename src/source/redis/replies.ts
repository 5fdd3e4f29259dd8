/** Values of an answer by the kind that is expected: who answers is not trusted. Its size: answer-guard.ts. */
import { LifeboatError } from '../../lib/errors.ts';

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
