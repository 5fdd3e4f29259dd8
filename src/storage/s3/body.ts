/** The body of an answer, as one buffer: exactly the length that was announced, and the range that was asked for. */
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { StorageError, TooShortError, type ByteRange } from '../storage.ts';

/** `limitBytes`: a longer body is refused before or while it is read. `what` names the object in errors. */
export async function readBody(
  body: unknown,
  announcedBytes: number | undefined,
  limitBytes: number,
  what: string,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (announcedBytes !== undefined && announcedBytes > limitBytes) {
    discard(body);
    throw tooLong(what, announcedBytes);
  }
  if (isReadable(body)) {
    for await (const chunk of body) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > limitBytes) throw tooLong(what, length);
    }
  }
  if (announcedBytes !== undefined && length !== announcedBytes) {
    throw new StorageError(`cannot read ${what}: the answer was cut after ${length} of ${announcedBytes} bytes`, {
      retryable: true,
    });
  }
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined
    ? Buffer.from(first.buffer, first.byteOffset, first.byteLength)
    : Buffer.concat(chunks, length);
}

/** Throws TooShortError, StorageError: a server may answer with what it has of the range, or with the whole object. */
export function requireRange(answer: GetObjectCommandOutput, range: ByteRange, what: string): void {
  const expected = range.end - range.start;
  if (answer.ContentLength === expected && (answer.ContentRange !== undefined || range.start === 0)) return;
  discard(answer.Body);
  if (answer.ContentRange === undefined) {
    throw new StorageError(`cannot read ${what}: the server does not answer with the range asked for`);
  }
  throw new TooShortError(what, range);
}

/** Ends an answer that nobody wants; its connection is closed. */
function discard(body: unknown): void {
  const { destroy } = (body ?? {}) as { destroy?: unknown };
  if (typeof destroy === 'function') destroy.call(body);
}

function isReadable(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
}

function tooLong(what: string, bytes: number): StorageError {
  return new StorageError(`cannot read ${what}: ${bytes} bytes or more are more than an object may have`);
}
