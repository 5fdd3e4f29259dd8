/**
 * Walks file trees on byte names, each folder before what is in it and names in byte order, so that two
 * backups of one tree are equal. Memory: the names of one folder for each level of the place it is at,
 * and a few MiB of small files read ahead; never a list of all files. Folders are held open on the way
 * down, so that nobody can swap one for a symlink under the walk.
 */
import fs from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { messageOf, systemCodeOf } from '../../lib/errors.ts';
import { closeFile, type Folder, listFolder, type NameList, openFolder, statFile, statLink } from './system-calls.ts';
import { decodeName, joinName } from './names.ts';
import type { PathMatcher } from './pattern.ts';
import { openAbove } from './resolve-links.ts';
import { readSmallFile, type SmallFile, smallFileBytes } from './read-file.ts';
import type { Root } from './roots.ts';

export interface WalkOptions {
  readonly roots: readonly Root[];
  /** Undefined: everything. Otherwise folders count only as the way to what matches. */
  readonly include: PathMatcher | undefined;
  readonly exclude: PathMatcher;
  /** Folders that are passed over wherever they turn up, by `device:inode`. */
  readonly excludedFolders: ReadonlySet<string>;
  readonly oneFileSystem: boolean;
  readonly problem: (problem: WalkProblem) => void;
  readonly signal: AbortSignal;
}

/** Something that could not be taken along. */
export interface WalkProblem {
  readonly kind: 'vanished' | 'unreadable' | 'unsupported';
  readonly member: Buffer;
  readonly reason: string;
}

export interface WalkedEntry {
  readonly member: Buffer;
  readonly root: number;
  readonly type: 'file' | 'folder' | 'symlink' | 'char' | 'block';
  readonly stat: BigIntStats;
  /** To open it by; good until the next entry is asked for. */
  readonly path: Buffer;
  /** A small file's content, read already. */
  readonly small?: SmallFile;
  readonly link?: Buffer;
}

/** How many entries of a folder are looked at ahead of need, and how many bytes of small files that may hold in all. */
const aheadEntries = 24;
const aheadBytes = 8 * 1024 * 1024;

/** One folder on the way down. */
interface Level {
  readonly folder: Folder;
  readonly names: NameList;
  next: number;
  readonly ahead: Promise<Looked>[];
  readonly place: Place;
}

/** Where an entry lies. */
interface Place {
  readonly root: number;
  readonly member: Buffer;
  /** Components below the root. */
  readonly components: readonly string[];
  /** A folder above was included as a whole. */
  readonly included: boolean;
  readonly device: bigint;
}

interface Prepared {
  readonly entry: WalkedEntry;
  readonly place: Place;
  readonly reservedBytes: number;
}

/** What looking at an entry gave; undefined: it is to be passed over. */
type Looked = Prepared | WalkProblem | undefined;

/** Yields every entry that is to be stored. Problems go to `options.problem` and do not end the walk. */
export async function* walk(options: WalkOptions): AsyncGenerator<WalkedEntry> {
  const way: Way = { levels: [], waiting: [], budget: { bytes: aheadBytes } };
  try {
    for (const [index, root] of options.roots.entries()) {
      yield* walkRoot(options, way, root, index);
    }
  } finally {
    for (const level of way.levels) {
      await Promise.allSettled(level.ahead);
      await closeFile(level.folder.fd);
    }
  }
}

/** Where a walk is. */
interface Way {
  readonly levels: Level[];
  /** Folders not yet yielded: with include patterns only those are that lead to something. */
  readonly waiting: { entry: WalkedEntry; depth: number }[];
  readonly budget: { bytes: number };
}

/** All that is below the folders that were entered, until each of them is left. */
async function* walkBelow(options: WalkOptions, way: Way): AsyncGenerator<WalkedEntry> {
  const { levels, waiting } = way;
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    options.signal.throwIfAborted();
    lookAhead(options, level, way.budget);
    const prepared = level.ahead.shift();
    if (prepared === undefined) {
      levels.pop();
      while ((waiting.at(-1)?.depth ?? -1) >= levels.length) waiting.pop();
      await closeFile(level.folder.fd);
      continue;
    }
    yield* visit(options, way, await prepared);
  }
}

async function* visit(options: WalkOptions, way: Way, looked: Looked): AsyncGenerator<WalkedEntry> {
  if (looked === undefined) return;
  // Told now, not when it was found: so problems come in the order of the tree.
  if ('kind' in looked) return options.problem(looked);
  const { levels, waiting, budget } = way;
  const { entry, place } = looked;
  budget.bytes += looked.reservedBytes;
  const isWanted = options.include === undefined || place.included || place.components.length === 0;
  if (isWanted) {
    for (const folder of waiting.splice(0)) yield folder.entry;
    yield entry;
  }
  if (entry.type !== 'folder') return;
  if (!isWanted) waiting.push({ entry, depth: levels.length });
  const isPassed = options.oneFileSystem && entry.stat.dev !== place.device;
  const level = isPassed ? undefined : await enter(options, entry, place);
  if (level !== undefined) levels.push(level);
  else if (!isWanted) waiting.pop();
}

/** The way to a root is gone again without following anything: it may lead through folders of others. */
async function* walkRoot(options: WalkOptions, way: Way, root: Root, index: number): AsyncGenerator<WalkedEntry> {
  const { member } = root;
  const place: Place = { root: index, member, components: [], included: false, device: root.stat.dev };
  let above: Awaited<ReturnType<typeof openAbove>>;
  try {
    above = await openAbove(root.realPath);
  } catch (error) {
    return options.problem({ ...problemOf(error), member });
  }
  try {
    const path = above === undefined ? root.realPath : above.child(above.name);
    yield* visit(options, way, await prepare(options, path, place, { bytes: 0 }));
    yield* walkBelow(options, way);
  } finally {
    if (above !== undefined) await closeFile(above.fd);
  }
}

/** Opens the folder that was just seen. What is in it is listed now; what happens to it later shows as vanished. */
async function enter(options: WalkOptions, entry: WalkedEntry, place: Place): Promise<Level | undefined> {
  let folder: Folder | undefined;
  try {
    folder = await openFolder(entry.path);
    const stat = await statFile(folder.fd);
    if (stat.ino !== entry.stat.ino || stat.dev !== entry.stat.dev) {
      throw Object.assign(new Error('it was replaced'), { code: 'ENOENT' });
    }
    return { folder, names: await listFolder(folder), next: 0, ahead: [], place };
  } catch (error) {
    if (folder !== undefined) await closeFile(folder.fd);
    options.problem({
      ...problemOf(error),
      member: place.member,
      reason: `its content is missing: ${reasonOf(error)}`,
    });
    return undefined;
  }
}

function lookAhead(options: WalkOptions, level: Level, budget: { bytes: number }): void {
  while (level.ahead.length < aheadEntries && level.next < level.names.length) {
    const name = level.names.name(level.next++);
    const { root, member, components, included, device } = level.place;
    const below = [...components, decodeName(name)];
    const place: Place = { root, member: joinName(member, name), components: below, included, device };
    level.ahead.push(prepare(options, level.folder.child(name), place, budget));
  }
}

/** Looks at one entry, and reads it if it is a small file; never rejects. */
async function prepare(options: WalkOptions, path: Buffer, place: Place, budget: { bytes: number }): Promise<Looked> {
  let reservedBytes = 0;
  try {
    const stat = await statLink(path);
    const type = typeOf(stat);
    const isFolder = type === 'folder';
    const isRoot = place.components.length === 0;
    if (isFolder && options.excludedFolders.has(`${stat.dev}:${stat.ino}`)) return undefined;
    if (!isRoot && options.exclude(place.components, isFolder)) return undefined;
    const included =
      place.included || isRoot ? place.included : (options.include?.(place.components, isFolder) ?? false);
    if (type === undefined) {
      if (options.include !== undefined && !included) return undefined;
      const reason = stat.isFIFO() ? 'it is a pipe' : 'it is a socket';
      return { kind: 'unsupported', member: place.member, reason };
    }
    const entry: WalkedEntry = { member: place.member, root: place.root, type, stat, path };
    const here = { ...place, included };
    if (type === 'symlink') return { entry: { ...entry, link: await readLink(path) }, place: here, reservedBytes };
    const size = Number(stat.size);
    const isWanted = options.include === undefined || included || isRoot;
    // A file with several names is read once only, when its turn comes.
    if (type !== 'file' || !isWanted || stat.nlink > 1n || size > smallFileBytes || size > budget.bytes) {
      return { entry, place: here, reservedBytes };
    }
    reservedBytes = size;
    budget.bytes -= reservedBytes;
    const small = await readSmallFile(path, stat);
    return { entry: small === undefined ? entry : { ...entry, small }, place: here, reservedBytes };
  } catch (error) {
    budget.bytes += reservedBytes;
    return { ...problemOf(error), member: place.member };
  }
}

/** What a failed call on an entry means for it. */
export function problemOf(error: unknown): { readonly kind: 'vanished' | 'unreadable'; readonly reason: string } {
  const code = systemCodeOf(error) ?? '';
  // ELOOP, ENOTDIR: a symlink or a file has taken the place of what was seen.
  const gone = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE'].includes(code);
  return { kind: gone ? 'vanished' : 'unreadable', reason: reasonOf(error) };
}

/** The system's own words without our descriptor paths: "EACCES: permission denied". */
function reasonOf(error: unknown): string {
  return messageOf(error).replace(/, (?:open|lstat|fstat|read|scandir|opendir|readlink|close)\b.*$/, '');
}

function typeOf(stat: BigIntStats): WalkedEntry['type'] | undefined {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'folder';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isCharacterDevice()) return 'char';
  return stat.isBlockDevice() ? 'block' : undefined;
}

function readLink(path: Buffer): Promise<Buffer> {
  return fs.promises.readlink(path, { encoding: 'buffer' });
}
