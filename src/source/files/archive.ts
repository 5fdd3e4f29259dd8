/**
 * Turns a walk into the bytes of a tar, and into catalog lines beside it. Everything small is gathered in
 * one block; big files are read into two blocks in turn, so that the next piece is on its way from the
 * disk while the consumer works on this one.
 */
import { createHash, hash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { systemCodeOf } from '../../lib/errors.ts';
import { type CatalogEntry, encodeCatalogLine } from './catalog.ts';
import { closeFile, statFile } from './system-calls.ts';
import { Gatherer, pieceBytes } from './gatherer.ts';
import { findData, holeBytes } from './holes.ts';
import type { LinkTable } from './link-table.ts';
import type { OwnerNames } from './owners.ts';
import { contentChanged, openForBackup } from './read-file.ts';
import { readGathered, readPieces } from './read-content.ts';
import type { Spool } from './spool.ts';
import type { Tally } from './tally.ts';
import { dataBytes, encodeSparseMap, type SparseMap } from './sparse-map.ts';
import { encodeTarHeader } from './tar-header.ts';
import { blockBytes, paddingOf } from './ustar-block.ts';
import { problemOf, type WalkedEntry } from './walker.ts';
import type { TarMember } from './member.ts';

export interface ArchiveParts {
  readonly entries: AsyncIterable<WalkedEntry>;
  readonly links: LinkTable;
  readonly owners: OwnerNames;
  readonly spool: Spool;
  readonly tally: Tally;
  readonly signal: AbortSignal;
}

/** A file with fewer bytes of hole is stored with them. */
const minHolesBytes = 1024 * 1024;

/** GNU tar pads the end of an archive to records of this size; so do we. */
const recordBytes = 10_240;

/** The tar as a stream of buffers that are used again. When it has ended, the spool is complete and flushed. */
export async function* writeArchive(parts: ArchiveParts): AsyncGenerator<Uint8Array> {
  const gathered = new Gatherer();
  for await (const entry of parts.entries) {
    parts.signal.throwIfAborted();
    // The root of the file system has no name in a tar.
    if (entry.member.length === 0) continue;
    yield* writeEntry(parts, entry, gathered);
  }
  const end = 2 * blockBytes;
  const total = parts.tally.counts.tarBytes + end;
  const endBytes = end + ((recordBytes - (total % recordBytes)) % recordBytes);
  yield* gathered.add(Buffer.alloc(endBytes));
  parts.tally.counts.tarBytes += endBytes;
  yield* gathered.flush();
  await parts.spool.flush();
  parts.tally.counts.catalogBytes = parts.spool.length;
  parts.tally.end();
}

async function* writeEntry(parts: ArchiveParts, entry: WalkedEntry, out: Gatherer): AsyncGenerator<Uint8Array> {
  if (entry.type !== 'file') {
    const device = entry.type === 'char' || entry.type === 'block' ? deviceOf(entry.stat.rdev) : undefined;
    const link = entry.link === undefined ? {} : { link: entry.link };
    const member = { ...memberOf(parts, entry, entry.stat, 0), ...link, ...(device === undefined ? {} : { device }) };
    yield* writeMember(parts, entry, member, out);
    return;
  }
  const first = entry.stat.nlink > 1n ? parts.links.find(entry.stat) : undefined;
  if (first !== undefined) {
    const member: TarMember = { ...memberOf(parts, entry, entry.stat, 0), type: 'hardlink', link: first };
    yield* writeMember(parts, entry, member, out);
    return;
  }
  const stored =
    entry.small === undefined
      ? yield* writeBigFile(parts, entry, out)
      : yield* writeSmallFile(parts, entry, entry.small, out);
  if (stored && entry.stat.nlink > 1n && !parts.links.add(entry.stat, entry.member)) {
    parts.tally.trouble('unlinked', entry.member, '');
  }
}

async function* writeMember(
  parts: ArchiveParts,
  entry: WalkedEntry,
  member: TarMember,
  out: Gatherer,
): AsyncGenerator<Uint8Array> {
  const header = encodeTarHeader(member);
  yield* out.add(header);
  await record(parts, entry, member, header.length, {});
}

async function* writeSmallFile(
  parts: ArchiveParts,
  entry: WalkedEntry,
  small: NonNullable<WalkedEntry['small']>,
  out: Gatherer,
): AsyncGenerator<Uint8Array, boolean> {
  const { content, stat, changed } = small;
  const member = memberOf(parts, entry, stat, content.length);
  const header = encodeTarHeader(member);
  yield* out.add(header);
  yield* out.add(content);
  yield* out.add(Buffer.alloc(paddingOf(content.length)));
  if (changed) parts.tally.trouble('changed', entry.member, '');
  await record(parts, entry, member, header.length, {
    sha256: hash('sha256', content, 'hex'),
    sparse: isSparse(stat),
    changed,
  });
  return true;
}

interface Opened {
  readonly fd: number;
  readonly stat: BigIntStats;
}

/**
 * Reads a file while it is written to the tar, exactly as many bytes as its header announces. False: it could not be
 * opened and was left out.
 */
async function* writeBigFile(
  parts: ArchiveParts,
  entry: WalkedEntry,
  out: Gatherer,
): AsyncGenerator<Uint8Array, boolean> {
  let opened: Opened;
  try {
    opened = await openForBackup(entry.path, entry.stat);
  } catch (error) {
    const { kind, reason } = problemOf(error);
    parts.tally.trouble(kind, entry.member, reason);
    return false;
  }
  try {
    const map = await mapOf(parts, opened);
    const mapped = encodeSparseMap(map);
    const content = map === undefined ? Number(opened.stat.size) : dataBytes(map);
    const size = mapped.length + content;
    const member = {
      ...memberOf(parts, entry, opened.stat, size),
      ...(map === undefined ? {} : { length: map.length }),
    };
    const header = encodeTarHeader(member);
    yield* out.add(header);
    const sha256 = createHash('sha256').update(mapped);
    yield* out.add(mapped);
    const read = yield* map === undefined && size <= pieceBytes / 4
      ? readGathered(opened.fd, size, sha256, out)
      : readPieces(parts.signal, opened.fd, map?.data ?? [{ start: 0, end: size }], sha256, out);
    yield* out.add(Buffer.alloc(paddingOf(size)));
    const why = read.problem ?? (await changeSince(opened, read.bytes < content));
    if (why !== undefined) parts.tally.trouble('changed', entry.member, why);
    await record(parts, entry, member, header.length, {
      sha256: sha256.digest('hex'),
      sparse: isSparse(opened.stat),
      changed: why !== undefined,
      map,
    });
    return true;
  } finally {
    await closeFile(opened.fd);
  }
}

/** Where a file has data, if leaving its holes out is worth it. */
async function mapOf(parts: ArchiveParts, { fd, stat }: Opened): Promise<SparseMap | undefined> {
  if (holeBytes(stat) < minHolesBytes) return undefined;
  // What cannot be read is told by the reading for the tar, with zeros in its place.
  const data = await findData(fd, stat, parts.signal).catch((error: unknown) => {
    if (systemCodeOf(error) === undefined) throw error;
    return undefined;
  });
  if (data === undefined) return undefined;
  const map: SparseMap = { length: Number(stat.size), data };
  return map.length - dataBytes(map) < minHolesBytes ? undefined : map;
}

async function changeSince(opened: Opened, isShort: boolean): Promise<string | undefined> {
  const after = await statFile(opened.fd);
  const size = opened.stat.size;
  if (isShort || after.size < size) return 'it became shorter; zeros stand for what is missing';
  if (after.size > size) return 'it grew; what was added is not in the backup';
  return contentChanged(opened.stat, after) ? 'what is stored may be partly old and partly new' : undefined;
}

function memberOf(parts: ArchiveParts, entry: WalkedEntry, stat: BigIntStats, size: number): TarMember {
  const uid = Number(stat.uid);
  const gid = Number(stat.gid);
  return {
    path: entry.member,
    type: entry.type,
    mode: Number(stat.mode) & 0o7777,
    uid,
    gid,
    user: parts.owners.user(uid),
    group: parts.owners.group(gid),
    size,
    mtimeNs: stat.mtimeNs,
  };
}

async function record(
  parts: ArchiveParts,
  entry: WalkedEntry,
  member: TarMember,
  headerBytes: number,
  content: { sha256?: string; sparse?: boolean; changed?: boolean; map?: SparseMap | undefined },
): Promise<void> {
  const line: CatalogEntry = {
    path: member.path,
    type: member.type,
    mode: member.mode,
    uid: member.uid,
    gid: member.gid,
    user: member.user,
    group: member.group,
    size: member.size,
    map: content.map,
    mtimeNs: member.mtimeNs,
    sha256: content.sha256,
    headerBytes,
    root: entry.root,
    link: member.link,
    sparse: content.sparse ?? false,
    changed: content.changed ?? false,
    device: member.device,
  };
  parts.tally.entry(line);
  parts.tally.counts.tarBytes += headerBytes + member.size + paddingOf(member.size);
  await parts.spool.append(encodeCatalogLine(line));
}

/** Linux packs device numbers as 12 + 20 bits, spread out. */
function deviceOf(rdev: bigint): { major: number; minor: number } {
  return { major: Number((rdev >> 8n) & 0xfffn), minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n)) };
}

/**
 * Fewer blocks on disk than bytes: it has holes (or lies compressed, where holes do no harm either). Inline data of
 * tiny files is no hole.
 */
function isSparse(stat: BigIntStats): boolean {
  return stat.size >= 4096n && stat.blocks * 512n < stat.size;
}
