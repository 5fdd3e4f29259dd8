/**
 * The catalog of a file tree: one line of JSON for each member of files.tar, in the tar's order. It is
 * what single files are found by, and what a restored tree is compared with. A line holds the length of
 * its member's header, not its place in the tar: places are summed up by the reader, so that the lines
 * of unchanged files stay the same from backup to backup and cost no storage.
 */
import { z } from 'zod';
import { LifeboatError } from '../../lib/errors.ts';
import { parseJson } from '../../lib/json.ts';
import { faultIn } from '../../config/schema-words.ts';
import { nameBytes, nameText } from './names.ts';
import { dataBytes, encodeSparseMap, maxStretches, type SparseMap } from './sparse-map.ts';
import { paddingOf } from './ustar-block.ts';
import type { Device, EntryType, TarMember } from './member.ts';

const entryTypes = ['file', 'folder', 'symlink', 'hardlink', 'char', 'block'] as const satisfies readonly EntryType[];
const deviceNumbers = z.strictObject({ major: z.number().int(), minor: z.number().int() });
const count = z.number().int().nonnegative();

const catalogLine = z.strictObject({
  path: z.string(),
  /** base64, when the path is not UTF-8; then `path` is only for reading. */
  pathBytes: z.string().optional(),
  type: z.enum(entryTypes),
  mode: count,
  uid: count,
  gid: count,
  user: z.string().optional(),
  group: z.string().optional(),
  /** Of a file: bytes of content in the tar (of one with `length`, a map and what has data); else 0. */
  size: count,
  /** Of a file with large holes: bytes of the file, and where it has data: offset, bytes, offset, bytes, and so on. */
  length: count.optional(),
  data: z
    .array(count)
    .max(2 * maxStretches)
    .optional(),
  /** RFC 3339 with nanoseconds, or "@<seconds>.<9 digits>" outside of the years 0 to 9999. */
  mtime: z.string(),
  /** Of a file's content, as stored. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  /** Length of the member's header blocks in the tar, bytes. */
  header: count.max(1024 * 1024),
  /** Which of the backup's roots it belongs to. */
  root: count,
  link: z.string().optional(),
  linkBytes: z.string().optional(),
  /** The file had holes: runs of zeros become holes again. */
  sparse: z.literal(true).optional(),
  /** The file changed while it was read: what is stored may never have existed like this. */
  changed: z.literal(true).optional(),
  device: deviceNumbers.optional(),
});

/**
 * One member of files.tar, and what is known of it besides. `path` and `link` are bytes without a leading slash
 * (symlinks: whatever the link says).
 */
export interface CatalogEntry extends Omit<TarMember, 'link' | 'device' | 'length'> {
  /** Of a file that is stored without its holes. */
  readonly map: SparseMap | undefined;
  readonly sha256: string | undefined;
  readonly headerBytes: number;
  readonly root: number;
  readonly link: Buffer | undefined;
  readonly sparse: boolean;
  readonly changed: boolean;
  readonly device: Device | undefined;
}

/** An entry at its place: byte offsets in files.tar of its header, its content and what comes after its padding. */
export interface PlacedEntry extends CatalogEntry {
  readonly offset: number;
  readonly dataOffset: number;
  readonly endOffset: number;
}

/** A longer line is no line of ours: paths and links are bounded by what the kernel takes, with room for escapes. */
const maxLineBytes = 1024 * 1024;

/** One line, newline included. */
export function encodeCatalogLine(entry: CatalogEntry): string {
  const path = nameText(entry.path);
  const link = entry.link === undefined ? undefined : nameText(entry.link);
  const line: z.input<typeof catalogLine> = {
    path: path.text,
    pathBytes: path.bytes,
    type: entry.type,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    user: entry.user === '' ? undefined : entry.user,
    group: entry.group === '' ? undefined : entry.group,
    size: entry.size,
    length: entry.map?.length,
    data: entry.map?.data.flatMap(({ start, end }) => [start, end - start]),
    mtime: formatTimeNs(entry.mtimeNs),
    sha256: entry.sha256,
    header: entry.headerBytes,
    root: entry.root,
    link: link?.text,
    linkBytes: link?.bytes,
    sparse: entry.sparse ? true : undefined,
    changed: entry.changed ? true : undefined,
    device: entry.device,
  };
  return `${JSON.stringify(line)}\n`;
}

/**
 * Reads a catalog as a stream, each entry with its place. Throws (integrity) for a line that cannot be read or an end
 * without newline.
 */
export async function* readCatalog(stream: AsyncIterable<Uint8Array>): AsyncGenerator<PlacedEntry> {
  let offset = 0;
  let lineNumber = 0;
  for await (const line of linesOf(stream)) {
    const entry = decodeLine(line, ++lineNumber);
    const dataOffset = offset + entry.headerBytes;
    const endOffset = dataOffset + entry.size + paddingOf(entry.size);
    if (!Number.isSafeInteger(endOffset)) throw damaged(`line ${lineNumber} goes beyond any tar`);
    yield { ...entry, offset, dataOffset, endOffset };
    offset = endOffset;
  }
}

async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const part of stream) {
    // Copied: the producer may use its buffer again, and a line may lie across two of them.
    const bytes = Buffer.concat([rest, part]);
    let from = 0;
    for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, from)) {
      yield bytes.toString('utf8', from, at);
      from = at + 1;
    }
    rest = bytes.subarray(from);
    if (rest.length > maxLineBytes) throw damaged('a line is too long');
  }
  if (rest.length > 0) throw damaged('it ends within a line');
}

function decodeLine(text: string, lineNumber: number): CatalogEntry {
  const parsed = catalogLine.safeParse(jsonOf(text));
  if (!parsed.success) throw damaged(`line ${lineNumber} cannot be read: ${faultIn(parsed.error)}`);
  const line = parsed.data;
  return {
    path: nameBytes(line.path, line.pathBytes),
    type: line.type,
    mode: line.mode,
    uid: line.uid,
    gid: line.gid,
    user: line.user ?? '',
    group: line.group ?? '',
    size: line.size,
    map: readMap(line, lineNumber),
    mtimeNs: parseTimeNs(line.mtime),
    sha256: line.sha256,
    headerBytes: line.header,
    root: line.root,
    link: line.link === undefined ? undefined : nameBytes(line.link, line.linkBytes),
    sparse: line.sparse ?? false,
    changed: line.changed ?? false,
    device: line.device,
  };
}

/** Stretches in order, within the file, and as many bytes as the member has. */
function readMap(line: z.output<typeof catalogLine>, lineNumber: number): SparseMap | undefined {
  const { length, data: numbers } = line;
  if (length === undefined && numbers === undefined) return undefined;
  const map: SparseMap = { length: length ?? -1, data: stretchesOf(numbers ?? []) };
  const isInOrder = map.data.every(({ start, end }, index) => (map.data[index - 1]?.end ?? -1) < start && start < end);
  const isWithin = (map.data.at(-1)?.end ?? 0) <= map.length;
  const isFile = line.type === 'file' && line.sparse === true && (numbers ?? []).length % 2 === 0;
  if (isFile && isInOrder && isWithin && encodeSparseMap(map).length + dataBytes(map) === line.size) return map;
  throw damaged(`line ${lineNumber} has holes that cannot be`);
}

function stretchesOf(numbers: readonly number[]): SparseMap['data'] {
  const pairs = Array.from({ length: Math.floor(numbers.length / 2) }, (_, at) => [
    numbers[2 * at],
    numbers[2 * at + 1],
  ]);
  return pairs.map(([start = 0, bytes = 0]) => ({ start, end: start + bytes }));
}

function jsonOf(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/** Nanoseconds since 1970 as RFC 3339 with nine digits, UTC. */
export function formatTimeNs(ns: bigint): string {
  const fraction = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = (ns - fraction) / 1_000_000_000n;
  const digits = String(fraction).padStart(9, '0');
  // Years 0000 to 9999 have a common form; file systems hold others too.
  if (seconds < -62_167_219_200n || seconds > 253_402_300_799n) return `@${seconds}.${digits}`;
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${digits}Z`;
}

/** The inverse of formatTimeNs; throws (integrity). */
export function parseTimeNs(text: string): bigint {
  const far = /^@(-?\d{1,20})\.(\d{9})$/.exec(text);
  if (far !== null) return BigInt(far[1] ?? '') * 1_000_000_000n + BigInt(far[2] ?? '');
  const near = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z$/.exec(text);
  const milliseconds = near === null ? Number.NaN : Date.parse(`${near[1]}Z`);
  if (near === null || Number.isNaN(milliseconds)) throw damaged(`"${text}" is not a time`);
  return BigInt(milliseconds) * 1_000_000n + BigInt(near[2] ?? '');
}

function damaged(why: string): LifeboatError {
  return new LifeboatError('integrity', `cannot read files.catalog: ${why}`);
}
