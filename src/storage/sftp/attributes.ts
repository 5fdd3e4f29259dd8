/** What a server's attributes say of a file's kind: bits of st_mode, whose values POSIX leaves open and all share. */
import { type FileAttributes, MalformedError } from './packets.ts';

const kindBits = 0o170_000;
const kinds = { file: 0o100_000, folder: 0o040_000, link: 0o120_000 } as const;

export function isKind({ mode }: FileAttributes, kind: keyof typeof kinds): boolean {
  if (mode === undefined) throw new MalformedError('the server does not say what is a file and what a folder');
  return (mode & kindBits) === kinds[kind];
}

/** Of a file. */
export function sizeAndStamp({ sizeBytes, modifiedMs }: FileAttributes): { sizeBytes: number; modifiedMs: number } {
  if (sizeBytes === undefined || modifiedMs === undefined) {
    throw new MalformedError('the server does not say how large files are and when they were written');
  }
  return { sizeBytes, modifiedMs };
}
