/** Tar and catalog must tell the same of a member; a difference means that one of them is not what was backed up. */
import { LifeboatError } from '../../lib/errors.ts';
import type { PlacedEntry } from './catalog.ts';
import { displayPath } from './names.ts';
import type { TarCursor } from './tar-cursor.ts';
import { decodeTarHeader } from './tar-header.ts';

/** A path of a deep tree may be long; no header of ours gets near this. */
const maxHeaderBytes = 16 * 1024 * 1024;

/** Reads a member's header blocks, up to its content. Throws (integrity) unless they say what the catalog says. */
export async function checkHeader(entry: PlacedEntry, cursor: TarCursor): Promise<void> {
  if (entry.headerBytes > maxHeaderBytes) {
    throw new LifeboatError('integrity', 'cannot read files.catalog: a header is too long');
  }
  await cursor.skipTo(entry.offset);
  const member = decodeTarHeader(await cursor.read(entry.headerBytes));
  const sameLink = entry.link === undefined ? member.link === undefined : (member.link?.equals(entry.link) ?? false);
  const isSame =
    member.path.equals(entry.path) &&
    member.type === entry.type &&
    member.size === entry.size &&
    member.length === entry.map?.length &&
    member.mode === entry.mode &&
    member.mtimeNs === entry.mtimeNs &&
    sameLink;
  if (!isSame) {
    throw new LifeboatError(
      'integrity',
      `cannot restore ${displayPath(entry.path)}: files.tar and files.catalog do not agree about it`,
    );
  }
}
