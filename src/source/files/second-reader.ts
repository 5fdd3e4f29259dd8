/**
 * A second opinion on our archives, for `validate --deep`, by a reader that is not ours: the tar package's parser.
 * Our writer and our reader share their view of the format, and a mistake in it with them; this one does not. Names
 * are not compared (it knows them as text only), but how many members there are and how large they are.
 */
import { LifeboatError } from '../../lib/errors.ts';

export interface SecondReader {
  /** Takes the next bytes of the archive. */
  read(piece: Uint8Array): void;
  /** Members and bytes of content. Throws (integrity) if the archive is not one to this reader. */
  finish(): Promise<{ readonly members: number; readonly contentBytes: number }>;
}

export async function openSecondReader(): Promise<SecondReader> {
  // All that this package is for. It cannot restore: names are bytes, times have nanoseconds, files have holes, and
  // folders are entered by descriptors, so that no link leads out of the target. It knows of none of these.
  const { Parser } = await import('tar');
  let members = 0;
  let contentBytes = 0;
  let complaint: string | undefined;
  const ended = Promise.withResolvers<void>();
  const parser = new Parser({
    onReadEntry: (entry) => {
      members++;
      contentBytes += entry.size;
      // Nothing is kept, so nothing is held back.
      entry.resume();
    },
    onwarn: (code, message) => {
      complaint ??= `${code}: ${message}`;
    },
  });
  parser.on('end', ended.resolve).on('error', ended.reject);
  return {
    read: (piece) => void parser.write(Buffer.from(piece)),
    finish: async () => {
      parser.end();
      await ended.promise;
      if (complaint !== undefined) {
        throw new LifeboatError('integrity', `a second reader does not take the archive: ${complaint}`);
      }
      return { members, contentBytes };
    },
  };
}
