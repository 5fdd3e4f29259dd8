/**
 * Reads a tree again and compares it with a backup's catalog: type, content, mode, owner, time of last
 * change, link targets, hard links, and that nothing is there that is not in the catalog. Used by
 * drills; a restore has compared the content already while it wrote.
 */
import fs from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { LifeboatError, messageOf, systemCodeOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { digestFile } from './digest-file.ts';
import { attributeDifferences, typeDifference } from './attributes.ts';
import { type PlacedEntry, readCatalog } from './catalog.ts';
import { closeFile, type Folder, listFolder, type NameList, openFolder, statLink } from './system-calls.ts';
import { displayPath, isWithin, joinName } from './names.ts';
import { openForBackup } from './read-file.ts';
import { type OwnersPolicy, rightsPolicy } from './restore-rights.ts';
import { safeComponents } from './target-tree.ts';

export interface VerifyTreeRequest {
  /** Absolute; where the tree was restored to. */
  readonly targetDir: string;
  /** The bytes of files.catalog. */
  readonly catalog: AsyncIterable<Uint8Array>;
  /** As in the restore. */
  readonly stripPrefix?: string;
  readonly owners?: OwnersPolicy;
}

export interface VerifyTreeReport {
  readonly entries: number;
  /** Bytes of content read and hashed. */
  readonly contentBytes: number;
  readonly differenceCount: number;
  /** The first 1000, such as "/srv/a: mode is 0644, not 0600". */
  readonly differences: readonly string[];
}

const maxNamed = 1000;

/** Compares a restored tree with a catalog; differences are reported, not thrown. */
export async function verifyTree(request: VerifyTreeRequest, context: RunContext): Promise<VerifyTreeReport> {
  const run = new VerifyRun(request, context.signal);
  try {
    await run.open();
    for await (const entry of readCatalog(request.catalog)) {
      context.signal.throwIfAborted();
      await run.check(entry);
    }
    await run.leaveTo(0);
    return run.report();
  } finally {
    await run.close();
  }
}

/** One folder on the way down; names before `next` have been accounted for. */
interface Level {
  readonly name: Buffer;
  readonly path: Buffer;
  readonly folder: Folder;
  readonly names: NameList;
  next: number;
}

class VerifyRun {
  readonly #targetDir: string;
  readonly #prefix: Buffer;
  readonly #rightsOf: ReturnType<typeof rightsPolicy>;
  readonly #signal: AbortSignal;
  readonly #levels: Level[] = [];
  readonly #differences: string[] = [];
  readonly #buffer = Buffer.allocUnsafe(1024 * 1024);
  #differenceCount = 0;
  #entries = 0;
  #contentBytes = 0;

  constructor(request: VerifyTreeRequest, signal: AbortSignal) {
    this.#signal = signal;
    this.#targetDir = request.targetDir;
    this.#prefix = Buffer.from((request.stripPrefix ?? '').replace(/^\/+|\/+$/g, ''));
    this.#rightsOf = rightsPolicy(request.owners ?? 'auto');
  }

  async open(): Promise<void> {
    try {
      await this.#push(Buffer.alloc(0), Buffer.alloc(0), Buffer.from(this.#targetDir));
    } catch (error) {
      throw new LifeboatError('source', `cannot verify ${this.#targetDir}: ${messageOf(error)}`, { cause: error });
    }
  }

  report(): VerifyTreeReport {
    return {
      entries: this.#entries,
      contentBytes: this.#contentBytes,
      differenceCount: this.#differenceCount,
      differences: this.#differences,
    };
  }

  async check(entry: PlacedEntry): Promise<void> {
    if (!isWithin(entry.path, this.#prefix)) return;
    this.#entries++;
    const rest = this.#prefix.length === 0 ? entry.path : entry.path.subarray(this.#prefix.length + 1);
    const components = rest.length === 0 ? [] : safeComponents(rest);
    // A device is never restored, so it may well be missing.
    if (entry.type === 'char' || entry.type === 'block') return;
    try {
      const parent = await this.#enter(components.slice(0, -1));
      const name = components.at(-1);
      if (name !== undefined) this.#account(parent, name);
      const path = name === undefined ? Buffer.from(this.#targetDir) : parent.folder.child(name);
      await this.#compare(entry, await statLink(path), path);
    } catch (error) {
      const code = systemCodeOf(error);
      if (code === undefined) throw error;
      const isMissing = ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(code);
      this.#differ(entry.path, isMissing ? 'is missing' : `cannot be read: ${messageOf(error)}`);
    }
  }

  /** Leaves folders; names in them that the catalog does not have are differences. */
  async leaveTo(depth: number): Promise<void> {
    while (this.#levels.length > depth) {
      const level = this.#levels.pop();
      if (level === undefined) return;
      while (level.next < level.names.length) this.#extra(level, level.names.name(level.next++));
      await closeFile(level.folder.fd);
    }
  }

  async close(): Promise<void> {
    for (const level of this.#levels.splice(0)) await closeFile(level.folder.fd);
  }

  async #compare(entry: PlacedEntry, stat: BigIntStats, path: Buffer): Promise<void> {
    const otherType = typeDifference(entry, stat);
    if (otherType !== undefined) return this.#differ(entry.path, otherType);
    if (entry.type === 'hardlink') return this.#compareLink(entry, stat);
    for (const what of attributeDifferences(entry, stat, this.#rightsOf(entry))) this.#differ(entry.path, what);
    if (entry.type === 'symlink') {
      const link = await fs.promises.readlink(path, { encoding: 'buffer' });
      if (entry.link?.equals(link) !== true) this.#differ(entry.path, 'leads elsewhere');
    } else if (entry.type === 'file') {
      const length = entry.map?.length ?? entry.size;
      if (stat.size !== BigInt(length)) this.#differ(entry.path, `has ${stat.size} bytes, not ${length}`);
      else if ((await this.#hash(path, stat, entry)) !== entry.sha256) this.#differ(entry.path, 'has other content');
    }
  }

  async #compareLink(entry: PlacedEntry, stat: BigIntStats): Promise<void> {
    const link = entry.link ?? Buffer.alloc(0);
    if (!isWithin(link, this.#prefix)) return;
    const rest = this.#prefix.length === 0 ? link : link.subarray(this.#prefix.length + 1);
    const target = await statBelow(this.#levels[0]?.folder, safeComponents(rest));
    if (target.ino !== stat.ino || target.dev !== stat.dev) {
      this.#differ(entry.path, `is not a hard link to ${displayPath(link)}`);
    }
  }

  async #hash(path: Buffer, seen: BigIntStats, { map }: PlacedEntry): Promise<string | undefined> {
    const { fd, stat } = await openForBackup(path, seen);
    try {
      const { sha256, bytes } = await digestFile(fd, stat, map, this.#buffer, this.#signal);
      this.#contentBytes += bytes;
      return sha256;
    } finally {
      await closeFile(fd);
    }
  }

  async #enter(components: readonly Buffer[]): Promise<Level> {
    const isEntered = (name: Buffer, depth: number): boolean => this.#levels[depth + 1]?.name.equals(name) === true;
    const left = components.findIndex((name, depth) => !isEntered(name, depth));
    const depth = left === -1 ? components.length : left;
    await this.leaveTo(depth + 1);
    for (const name of components.slice(depth)) {
      const parent = this.#current();
      this.#account(parent, name);
      await this.#push(name, joinName(parent.path, name), parent.folder.child(name));
    }
    return this.#current();
  }

  #current(): Level {
    const level = this.#levels.at(-1);
    if (level === undefined) throw new Error('a tree is verified that is not open');
    return level;
  }

  async #push(name: Buffer, path: Buffer, openPath: Buffer): Promise<void> {
    const folder = await openFolder(openPath);
    try {
      this.#levels.push({ name: Buffer.from(name), path, folder, names: await listFolder(folder), next: 0 });
    } catch (error) {
      await closeFile(folder.fd);
      throw error;
    }
  }

  /** The catalog and the list are in the same order: names passed over are not in the catalog. */
  #account(level: Level, name: Buffer): void {
    while (level.next < level.names.length) {
      const found = level.names.name(level.next);
      const order = found.compare(name);
      if (order > 0) return;
      level.next++;
      if (order === 0) return;
      this.#extra(level, found);
    }
  }

  #extra(level: Level, name: Buffer): void {
    const path = joinName(level.path, name);
    this.#differ(this.#prefix.length === 0 ? path : joinName(this.#prefix, path), 'is not in the backup');
  }

  #differ(path: Buffer, what: string): void {
    this.#differenceCount++;
    if (this.#differences.length >= maxNamed) return;
    const name = displayPath(Buffer.concat([Buffer.from('/'), path]));
    this.#differences.push(`${name}${/^(mode|owner)/.test(what) ? ': ' : ' '}${what}`);
  }
}

/** Looks at a path below a folder without following a symlink on the way. */
async function statBelow(top: Folder | undefined, components: readonly Buffer[]): Promise<BigIntStats> {
  const opened: Folder[] = [];
  try {
    let folder = top;
    for (const name of components.slice(0, -1)) {
      if (folder === undefined) break;
      folder = await openFolder(folder.child(name));
      opened.push(folder);
    }
    if (folder === undefined) throw new Error('a tree is verified that is not open');
    return await statLink(folder.child(components.at(-1) ?? Buffer.from('.')));
  } finally {
    for (const folder of opened) await closeFile(folder.fd);
  }
}
