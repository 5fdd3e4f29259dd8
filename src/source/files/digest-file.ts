/**
 * The SHA-256 that a catalog has of a file, from the file itself: of its content, or, where it is stored without its
 * holes, of the map and of what the map says is data; then all else must be zeros.
 */
import { createHash, type Hash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { findData, isZero } from './holes.ts';
import { encodeSparseMap, inHoles, type SparseMap, type Stretch } from './sparse-map.ts';
import { readSome } from './system-calls.ts';

/** SHA-256 in hex (undefined: there is data in what the map calls a hole), and how many bytes it is of. */
export interface FileDigest {
  readonly sha256: string | undefined;
  readonly bytes: number;
}

/** Reads the open file through `buffer`. Rejects with what a read says, and when aborted. */
export async function digestFile(
  fd: number,
  stat: BigIntStats,
  map: SparseMap | undefined,
  buffer: Buffer,
  signal: AbortSignal,
): Promise<FileDigest> {
  const sha256 = createHash('sha256');
  const head = encodeSparseMap(map);
  sha256.update(head);
  let bytes = head.length;
  for (const stretch of map?.data ?? [{ start: 0, end: Infinity }]) {
    bytes += await hashStretch(fd, stretch, sha256, buffer);
  }
  const isSame = map === undefined || (await hasHoles(fd, stat, map, buffer, signal));
  return { sha256: isSame ? sha256.digest('hex') : undefined, bytes };
}

async function hashStretch(fd: number, { start, end }: Stretch, sha256: Hash, buffer: Buffer): Promise<number> {
  let at = start;
  while (at < end) {
    const bytes = await readSome(fd, buffer, 0, Math.min(buffer.length, end - at), at);
    if (bytes === 0) break;
    sha256.update(buffer.subarray(0, bytes));
    at += bytes;
  }
  return at - start;
}

async function hasHoles(
  fd: number,
  stat: BigIntStats,
  map: SparseMap,
  buffer: Buffer,
  signal: AbortSignal,
): Promise<boolean> {
  for (const stretch of inHoles(await findData(fd, stat, signal), map)) {
    if (!(await isZero(fd, stretch, buffer))) return false;
  }
  return true;
}
