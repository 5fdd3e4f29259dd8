/** The body of an answer, as one buffer of exactly the length that was announced. */
import { StorageError } from '../storage.ts';

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

/** Ends an answer that nobody wants; its connection is closed. */
export function discard(body: unknown): void {
  const { destroy } = (body ?? {}) as { destroy?: unknown };
  if (typeof destroy === 'function') destroy.call(body);
}

function isReadable(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
}

function tooLong(what: string, bytes: number): StorageError {
  return new StorageError(`cannot read ${what}: ${bytes} bytes or more are more than an object may have`);
}
