/**
 * Writes one restored file: new, never followed or overwritten, its content checked against the catalog, holes where it
 * had some.
 */
import { createHash, hash } from 'node:crypto';
import { constants } from 'node:fs';
import { LifeboatError } from '../../lib/errors.ts';
import type { CatalogEntry } from './catalog.ts';
import { encodeSparseMap, type SparseMap } from './sparse-map.ts';
import { closeFile, openFile, syncFile, truncateFile, writeAll } from './system-calls.ts';
import { displayPath } from './names.ts';
import type { Rights } from './restore-rights.ts';
import type { TarCursor } from './tar-cursor.ts';
import { applyRights } from './target-tree.ts';

const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const pageBytes = 4096;
const zeros = Buffer.alloc(64 * 1024);

export interface FileToWrite {
  readonly path: Buffer;
  readonly entry: CatalogEntry;
  readonly rights: Rights;
  /** Make the file durable by itself (where the whole file system cannot be synced at once). */
  readonly sync: boolean;
}

/**
 * A file whose content is in memory. Throws (integrity) before anything is written if the content is not what was
 * recorded.
 */
export async function writeSmall(file: FileToWrite, content: Buffer): Promise<void> {
  checkHash(file.entry, hash('sha256', content, 'hex'));
  await withNewFile(file, async (fd) => {
    if (file.entry.sparse) await writeSparse(fd, content, 0);
    else await writeAll(fd, content, 0);
  });
}

/** A file whose content comes in pieces. */
export async function writeBig(file: FileToWrite, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  await withNewFile(file, async (fd) => {
    const sha256 = createHash('sha256');
    let at = 0;
    for await (const piece of pieces) {
      sha256.update(piece);
      if (file.entry.sparse) await writeSparse(fd, piece, at);
      else await writeAll(fd, piece, at);
      at += piece.length;
    }
    checkHash(file.entry, sha256.digest('hex'));
  });
}

/** A file that is stored without its holes: the map must be the catalog's, and its stretches go to their places. */
export async function writeMapped(file: FileToWrite, map: SparseMap, cursor: TarCursor): Promise<void> {
  await withNewFile(file, async (fd) => {
    const sha256 = createHash('sha256').update(await readMap(file.entry, map, cursor));
    for (const { start, end } of map.data) {
      let at = start;
      for await (const piece of cursor.pieces(end - start)) {
        sha256.update(piece);
        await writeSparse(fd, piece, at);
        at += piece.length;
      }
    }
    checkHash(file.entry, sha256.digest('hex'));
  });
}

async function readMap(entry: CatalogEntry, map: SparseMap, cursor: TarCursor): Promise<Buffer> {
  const expected = encodeSparseMap(map);
  if (!(await cursor.read(expected.length)).equals(expected)) throw otherContent(entry);
  return expected;
}

async function withNewFile(file: FileToWrite, write: (fd: number) => Promise<void>): Promise<void> {
  const fd = await openFile(file.path, newFile, 0o600);
  try {
    await write(fd);
    if (file.entry.sparse) await truncateFile(fd, file.entry.map?.length ?? file.entry.size);
    await applyRights(fd, file.rights);
    if (file.sync) await syncFile(fd);
  } finally {
    await closeFile(fd);
  }
}

/** Writes all but whole pages of zeros; a new file reads as zeros there. */
async function writeSparse(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let from = 0;
  for (let at = 0; at < buffer.length;) {
    // Up to the next page of the file, so that pages of zeros line up with blocks on the disk.
    const end = Math.min(buffer.length, at + pageBytes - ((position + at) % pageBytes));
    if (zeros.compare(buffer, at, end, 0, end - at) === 0) {
      if (from < at) await writeAll(fd, buffer.subarray(from, at), position + from);
      from = end;
    }
    at = end;
  }
  if (from < buffer.length) await writeAll(fd, buffer.subarray(from), position + from);
}

function checkHash(entry: CatalogEntry, found: string): void {
  if (found !== entry.sha256) throw otherContent(entry);
}

function otherContent(entry: CatalogEntry): LifeboatError {
  return new LifeboatError('integrity', `the content of ${displayPath(entry.path)} is not what was backed up`, {
    hint: 'run lifeboat validate --deep on this backup, and restore another one',
  });
}
