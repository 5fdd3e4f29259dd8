/**
 * Writes what an archive says is there, member by member in the order of the tree: each header is compared with the
 * catalog, each path must come after the one before it, small files are written side by side.
 */
import fs from 'node:fs';
import { Places, TaskGroup } from '../../lib/concurrency.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { ArtifactReader } from '../source.ts';
import type { PlacedEntry } from './catalog.ts';
import { checkHeader } from './check-header.ts';
import { compareTreeOrder, displayPath, isWithin } from './names.ts';
import { smallFileBytes } from './read-file.ts';
import type { Rights } from './restore-rights.ts';
import type { Batch, WantedEntry } from './selection.ts';
import { tarName } from './source.ts';
import { TarCursor } from './tar-cursor.ts';
import { safeComponents, type TargetTree, timeArgument } from './target-tree.ts';
import { type FileToWrite, writeBig, writeMapped, writeSmall } from './write-content.ts';

export interface TreeWriterOptions {
  readonly reader: ArtifactReader;
  /** Of every path; what lies elsewhere is passed over. Empty: nothing is stripped. */
  readonly prefix: Buffer;
  readonly rightsOf: (entry: PlacedEntry) => Rights;
  /** Whether each file is flushed when it is written. */
  readonly syncEach: boolean;
}

const workers = 16;
const maxNamed = 1000;

/** Writes the members of one restore into its staging folder. */
export class TreeWriter {
  readonly counts = { files: 0, folders: 0, symlinks: 0, hardlinks: 0, contentBytes: 0 };
  readonly skippedDevices: string[] = [];
  readonly changedFiles: string[] = [];
  /** What the target itself gets, if an entry stands for it. */
  top: Rights | undefined;
  readonly #options: TreeWriterOptions;
  readonly #context: RunContext;
  readonly #tree: TargetTree;
  readonly #tasks = new TaskGroup(new Places(workers));
  #last: Buffer | undefined;

  constructor(options: TreeWriterOptions, tree: TargetTree, context: RunContext) {
    this.#options = options;
    this.#tree = tree;
    this.#context = context;
  }

  /** Folders that no member stands for. */
  get implicit(): ReadonlySet<string> {
    return this.#tree.implicit;
  }

  /** Writes all of them; when it rejects, nothing is being written any more. */
  async write(batches: AsyncIterable<Batch> | Iterable<Batch>): Promise<void> {
    try {
      for await (const batch of batches) await this.#writeBatch(batch);
      await this.#tasks.drain();
      await this.#tree.finish();
    } catch (error) {
      await this.#tasks.abandon(error).catch(() => {});
      await this.#tree.abandon();
      throw error;
    }
  }

  async #writeBatch(batch: Batch): Promise<void> {
    const cursor = new TarCursor(this.#options.reader.open(tarName, batch.range), batch.range?.start ?? 0);
    try {
      for await (const wanted of batch.entries) {
        this.#context.signal.throwIfAborted();
        await this.#writeEntry(wanted, cursor);
      }
      if (batch.range === undefined) await cursor.finish();
    } finally {
      await cursor.close();
    }
  }

  async #writeEntry(wanted: WantedEntry, cursor: TarCursor): Promise<void> {
    const { entry, path } = wanted;
    if (this.#last !== undefined && compareTreeOrder(this.#last, path) >= 0) {
      throw new LifeboatError('integrity', `cannot restore ${displayPath(path)}: it is there twice or out of order`);
    }
    this.#last = path;
    // Checked in full, before the part that is stripped goes.
    safeComponents(path);
    if (!wanted.isWay) await checkHeader(entry, cursor);
    const components = this.#place(path);
    if (components === undefined) return;
    const name = components.at(-1);
    if (entry.type === 'folder') return this.#writeFolder(wanted, components);
    if (name === undefined) {
      throw new LifeboatError('usage', `cannot restore ${displayPath(path)} as a folder: it is not a folder`, {
        hint: 'strip the path of the folder that it lies in',
      });
    }
    const parent = await this.#tree.enter(components.slice(0, -1));
    const target = parent.folder.child(name);
    if (entry.type === 'file') await this.#writeFile(entry, parent, target, cursor);
    else if (entry.type === 'symlink') await this.#writeSymlink(entry, target);
    else if (entry.type === 'hardlink') await this.#writeHardLink(wanted, parent, name);
    else this.#skipDevice(entry);
  }

  async #writeFolder({ entry, isWay }: WantedEntry, components: readonly Buffer[]): Promise<void> {
    const rights = this.#options.rightsOf(entry);
    if (components.length === 0 && !isWay) this.top = rights;
    await this.#tree.addFolder(components, rights, isWay);
    this.counts.folders++;
  }

  async #writeFile(
    entry: PlacedEntry,
    parent: Awaited<ReturnType<TargetTree['enter']>>,
    path: Buffer,
    cursor: TarCursor,
  ): Promise<void> {
    const file: FileToWrite = { path, entry, rights: this.#options.rightsOf(entry), sync: this.#options.syncEach };
    if (entry.changed) this.#note(this.changedFiles, displayPath(entry.path));
    this.counts.files++;
    this.counts.contentBytes += entry.size;
    if (entry.map !== undefined) return writeMapped(file, entry.map, cursor);
    if (entry.size > smallFileBytes) return writeBig(file, cursor.pieces(entry.size));
    const content = await cursor.read(entry.size);
    parent.pending++;
    await this.#tasks.start(async () => {
      try {
        await writeSmall(file, content);
      } finally {
        await this.#tree.release(parent);
      }
    });
  }

  async #writeSymlink(entry: PlacedEntry, path: Buffer): Promise<void> {
    const { owner, mtimeSeconds } = this.#options.rightsOf(entry);
    await fs.promises.symlink(entry.link ?? Buffer.alloc(0), path);
    if (owner !== undefined) await fs.promises.lchown(path, owner.uid, owner.gid);
    await fs.promises.lutimes(path, Date.now() / 1000, timeArgument(mtimeSeconds));
    this.counts.symlinks++;
  }

  async #writeHardLink(
    { link, path }: WantedEntry,
    parent: Awaited<ReturnType<TargetTree['enter']>>,
    name: Buffer,
  ): Promise<void> {
    const target = link === undefined ? undefined : this.#place(link);
    if (link === undefined || target === undefined || compareTreeOrder(link, path) >= 0) {
      throw new LifeboatError(
        'integrity',
        `cannot restore ${displayPath(path)}: it is a link to a file that is not in the backup`,
      );
    }
    safeComponents(link);
    // The file may still be on its way.
    await this.#tasks.drain();
    await this.#tree.addHardLink(parent, name, target);
    this.counts.hardlinks++;
  }

  #skipDevice(entry: PlacedEntry): void {
    const letter = entry.type === 'char' ? 'c' : 'b';
    const text =
      `${displayPath(Buffer.concat([Buffer.from('/'), entry.path]))} (${letter} ${entry.device?.major} ` +
      `${entry.device?.minor})`;
    this.#note(this.skippedDevices, text);
    this.#context.emit({
      type: 'warning',
      component: 'files',
      message: `the device node ${text} was not made: use mknod if it is needed`,
    });
  }

  #note(list: string[], text: string): void {
    if (list.length < maxNamed) list.push(text);
  }

  /** Components below the target; undefined: outside of the prefix that is stripped. */
  #place(path: Buffer): Buffer[] | undefined {
    if (!isWithin(path, this.#options.prefix)) return undefined;
    const rest = this.#options.prefix.length === 0 ? path : path.subarray(this.#options.prefix.length + 1);
    return rest.length === 0 ? [] : safeComponents(rest);
  }
}
