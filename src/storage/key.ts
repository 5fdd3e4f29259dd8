/**
 * What a key may be, and how keys are ordered. Keys come out of stored objects too, and those may be
 * forged: a key that would lead out of the repository must never reach a file system.
 */
import { StorageError } from './storage.ts';

/** Refuses what is not a plain relative path of names without a leading dot. */
export function checkKey(location: string, key: string): void {
  if (!isKey(key)) {
    throw new StorageError(`refused the key ${JSON.stringify(key)} in ${location}: it is not the name of an object`);
  }
}

/** The same for a listing's prefix, whose last part may be cut anywhere. */
export function checkPrefix(location: string, prefix: string): void {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  if ((folder === '' || isKey(`${folder}x`)) && !prefix.includes('\0')) return;
  throw new StorageError(
    `refused the prefix ${JSON.stringify(prefix)} in ${location}: it is not the beginning of an object's name`,
  );
}

/** True for `a/b.c`; false for ``, `/a`, `a//b`, `a/../b`, `a/.b`. */
export function isKey(key: string): boolean {
  return !key.includes('\0') && key.split('/').every((name) => name !== '' && !name.startsWith('.'));
}

/** Byte order of the UTF-8 forms, as S3 lists. JavaScript's own order differs beyond U+D7FF. */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  if (plain.test(a) && plain.test(b)) return a < b ? -1 : 1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const plain = /^[\0-\u{D7FF}]*$/u;
