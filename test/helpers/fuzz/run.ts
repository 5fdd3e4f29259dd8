/**
 * What must hold for a parser of foreign bytes, whatever they are: it gives a value or a LifeboatError with a code,
 * never another error (which would be told as a bug of ours), within a second, and without much memory.
 */
import assert from 'node:assert/strict';
import { LifeboatError } from '../../../src/lib/errors.ts';
import { mutated, seeded } from './mutate.ts';

export interface Parser {
  readonly name: string;
  readonly samples: readonly Buffer[];
  /** Reads all there is to read. */
  readonly parse: (input: Buffer) => unknown;
  /** Input that passes seals and checksums, from what was made of a sample. Default: as it is. */
  readonly dress?: (input: Buffer) => Buffer;
  /** The samples are well formed, but not what is looked for. */
  readonly mayRefuse?: true;
}

const mostMs = 1000;
const mostBytes = 300 * 1024 * 1024;

/** Throws with the input (in hex) for the first that breaks a rule; `count` inputs of one seed. */
export async function fuzz(
  { name, samples, parse, dress = (input) => input, mayRefuse }: Parser,
  count: number,
  seed: number,
): Promise<void> {
  // A sample that is refused would try nothing but its first check.
  for (const sample of samples) if (mayRefuse !== true) await parse(dress(sample));
  const random = seeded(seed);
  const before = process.memoryUsage.rss();
  for (let n = 0; n < count; n++) {
    const input = dress(mutated(samples, random));
    const told = (what: string): string =>
      `${name}, input ${n} of seed ${seed}: ${what}\n${input.subarray(0, 4096).toString('hex')}`;
    const started = process.cpuUsage();
    try {
      await parse(input);
    } catch (error) {
      if (!(error instanceof LifeboatError)) throw new Error(told(String(error)), { cause: error });
    }
    const { user, system } = process.cpuUsage(started);
    assert.ok((user + system) / 1000 < mostMs, told(`took ${(user + system) / 1000} ms`));
    if (n % 16 === 0) {
      const now = process.memoryUsage.rss();
      assert.ok(now - before < mostBytes, told(`memory grew by ${now - before} bytes`));
    }
  }
}

/** Bytes as a stream, in pieces of uneven sizes. */
export async function* streamed(bytes: Buffer, pieceBytes = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** Reads a stream to its end. */
export async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}
