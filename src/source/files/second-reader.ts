/**
 * A second opinion on our archives by a reader that is not ours: the tar package's parser. Names are
 * not compared (it knows them as text only), but how many members there are and how large they are.
 */
import { LifeboatError } from '../../lib/errors.ts';

export interface SecondReader {
  /** Takes the next bytes of the archive. */
  read(piece: Uint8Array): void;
  /** Members and bytes of content. Throws (integrity) if the archive is not one to this reader. */
  finish(): Promise<{ readonly members: number; readonly contentBytes: number }>;
}

export async function openSecondReader(): Promise<SecondReader> {
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
