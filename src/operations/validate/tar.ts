/**
 * Walks through the tar of a file tree beside its catalog: every header, every content's SHA-256, nothing more and
 * nothing less.
 */
import { createHash } from 'node:crypto';
import { LifeboatError } from '../../lib/errors.ts';
import type { ArtifactReader } from '../../source/source.ts';
import { readCatalog, type CatalogEntry } from '../../source/files/catalog.ts';
import { checkHeader } from '../../source/files/check-header.ts';
import { displayPath } from '../../source/files/names.ts';
import { catalogName, tarName } from '../../source/files/source.ts';
import { encodeSparseMap } from '../../source/files/sparse-map.ts';
import { openSecondReader } from '../../source/files/second-reader.ts';
import { TarCursor } from '../../source/files/tar-cursor.ts';

/** What the walk has seen. */
export interface TarSummary {
  readonly entries: number;
  readonly contentBytes: number;
  /** SHA-256 of the catalog, hex. */
  readonly fingerprint: string;
}

/** Throws (integrity) at the first thing that is not as the catalog says. */
export async function walkTar(
  reader: ArtifactReader,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<TarSummary> {
  const fingerprint = createHash('sha256');
  const second = await openSecondReader();
  const tar = told(reader.open(tarName), (bytes, piece) => {
    second.read(piece);
    onBytes(bytes);
  });
  const cursor = new TarCursor(tar, 0);
  let entries = 0;
  let contentBytes = 0;
  try {
    for await (const entry of readCatalog(told(reader.open(catalogName), (_, piece) => fingerprint.update(piece)))) {
      signal.throwIfAborted();
      await checkHeader(entry, cursor);
      entries++;
      contentBytes += entry.size;
      if (entry.type === 'file') await checkContent(entry, cursor);
    }
    await cursor.finish();
  } finally {
    await cursor.close();
  }
  const { members, contentBytes: secondBytes } = await second.finish();
  if (members !== entries || secondBytes !== contentBytes) {
    throw new LifeboatError(
      'integrity',
      `a second reader finds ${members} members of ${secondBytes} bytes in ${tarName}, where the catalog has ` +
        `${entries} of ${contentBytes}`,
    );
  }
  return { entries, contentBytes, fingerprint: fingerprint.digest('hex') };
}

async function checkContent(entry: CatalogEntry, cursor: TarCursor): Promise<void> {
  const sha256 = createHash('sha256');
  const map = encodeSparseMap(entry.map);
  const isMapped = map.equals(await cursor.read(map.length));
  sha256.update(map);
  for await (const piece of cursor.pieces(entry.size - map.length)) sha256.update(piece);
  if (isMapped && sha256.digest('hex') === entry.sha256) return;
  const message = `the content of ${displayPath(entry.path)} is not the one that its catalog names`;
  throw new LifeboatError('integrity', message);
}

async function* told(
  stream: AsyncIterable<Uint8Array>,
  tell: (bytes: number, piece: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) {
    tell(piece.length, piece);
    yield piece;
  }
}
