/**
 * Files and streams that somebody else may have made, read as a whole only if they are no larger than they may be. A
 * FIFO in place of a file is not waited for, and a file that grows is not followed.
 */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { LifeboatError } from './errors.ts';
import { formatBytes } from './units.ts';

/** All of a file. Throws LifeboatError `integrity` for one that is larger or no file; what the file system says. */
export async function readAtMost(path: string, maxBytes: number): Promise<Buffer> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return await readHandleAtMost(file, path, maxBytes);
}

/** The same for an open file; `path` is for messages. */
export async function readHandleAtMost(file: FileHandle, path: string, maxBytes: number): Promise<Buffer> {
  const found = await file.stat();
  if (!found.isFile()) throw new LifeboatError('integrity', `${path} is no plain file`);
  if (found.size > maxBytes) throw tooLarge(path, maxBytes);
  const bytes = Buffer.alloc(found.size);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

/** All of a stream. Throws LifeboatError `integrity` as soon as it has more; `what` is for messages. */
export async function collectAtMost(
  stream: AsyncIterable<Uint8Array>,
  maxBytes: number,
  what: string,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of stream) {
    if ((length += piece.length) > maxBytes) throw tooLarge(what, maxBytes);
    // Copied: the producer may use its buffer again.
    pieces.push(Buffer.from(piece));
  }
  return Buffer.concat(pieces, length);
}

function tooLarge(path: string, maxBytes: number): LifeboatError {
  return new LifeboatError('integrity', `${path} has more than ${formatBytes(maxBytes)}, which none of its kind has`);
}
