/**
 * Brings file trees back: all of a backup in one pass over its tar, or chosen paths by the ranges that
 * hold them. What an archive says is not trusted: every header is compared with the catalog, every
 * content with its SHA-256, every path must lie below the target and come in the order of the tree
 * (so none comes twice). Device nodes are never made.
 */
import { createHash, type Hash } from 'node:crypto';
import fs from 'node:fs';
import { Places, TaskGroup } from '../../lib/concurrency.ts';
import { AbortedError, LifeboatError, messageOf, systemCodeOf } from '../../lib/errors.ts';
import { fileError } from '../../lib/file-errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { formatBytes } from '../../lib/units.ts';
import type { ArtifactReader } from '../source.ts';
import { type PlacedEntry, readCatalog } from './catalog.ts';
import { checkHeader } from './check-header.ts';
import type { FilesFacts } from './facts.ts';
import { compareTreeOrder, displayPath, isWithin } from './names.ts';
import { smallFileBytes } from './read-file.ts';
import { type OwnersPolicy, type Rights, rightsPolicy } from './restore-rights.ts';
import { type Batch, batchesOf, Selection, type WantedEntry } from './selection.ts';
import { catalogName, tarName } from './source.ts';
import { type Staging, withStaging } from './staging.ts';
import { TarCursor } from './tar-cursor.ts';
import { safeComponents, TargetTree, timeArgument } from './target-tree.ts';
import { type FileToWrite, writeBig, writeSmall } from './write-content.ts';

export interface FilesRestoreRequest {
  readonly reader: ArtifactReader;
  readonly facts: FilesFacts;
  /**
   * Absolute. Members go below it under their whole path (srv/uploads/a.txt), unless `stripPrefix` shortens it. `/`
   * with into 'existing' is the original places.
   */
  readonly targetDir: string;
  /**
   * 'empty' (default): absent or empty. 'existing': what has the same name is replaced, all else stays; the caller has
   * had it confirmed.
   */
  readonly into?: 'empty' | 'existing';
  /**
   * Paths of files, of folders with all that is in them, or patterns; with or without a leading slash. Undefined:
   * everything.
   */
  readonly paths?: readonly string[];
  /** A path whose content goes directly into the target; all else is left out. */
  readonly stripPrefix?: string;
  /** Default 'auto'. */
  readonly owners?: OwnersPolicy;
  /** Leave what was written beside the target when the restore fails. Default false. */
  readonly keepOnFailure?: boolean;
}

export interface FilesRestoreReport {
  readonly targetDir: string;
  readonly files: number;
  readonly folders: number;
  readonly symlinks: number;
  readonly hardlinks: number;
  /** Bytes of content written; each file's SHA-256 was compared with the catalog. */
  readonly contentBytes: number;
  /** Device nodes that were not made (the first 1000): "/dev/null (c 1 3)". */
  readonly skippedDevices: readonly string[];
  /** Restored as they were stored, but they had changed while being backed up (the first 1000). */
  readonly changedFiles: readonly string[];
  /** True when all of the backup was restored, and not chosen paths. */
  readonly isComplete: boolean;
}

const workers = 16;
const maxNamed = 1000;

/**
 * Restores into a folder; until it returns, the target is as it was (into 'existing': until all is written and
 * checked).
 */
export async function restoreFiles(request: FilesRestoreRequest, context: RunContext): Promise<FilesRestoreReport> {
  const owners = request.owners ?? 'auto';
  if (owners === 'numeric' && process.geteuid?.() !== 0) {
    throw new LifeboatError('usage', 'cannot restore owners by number: only root can', {
      hint: 'run as root, or restore without owners',
    });
  }
  const prefix = Buffer.from((request.stripPrefix ?? '').replace(/^\/+|\/+$/g, ''));
  const isComplete = request.paths === undefined && prefix.length === 0;
  const catalog = (): AsyncIterable<PlacedEntry> => checkedCatalog(request);
  try {
    // Everything: one pass, and nothing to look up before.
    const selection = isComplete ? undefined : await Selection.plan(catalog, request.paths, prefix);
    const { targetDir, into = 'empty', keepOnFailure = false } = request;
    return await withStaging({ targetDir, into, keepOnFailure }, async (staging) => {
      checkSpace(
        staging,
        selection?.totals ?? { contentBytes: request.facts.contentBytes, hasSparse: request.facts.sparseFiles > 0 },
      );
      const run = new RestoreRun(
        request,
        context,
        staging,
        prefix,
        rightsPolicy(owners),
        await TargetTree.open(staging.path),
      );
      const batches =
        selection === undefined
          ? [{ range: undefined, entries: everything(catalog()) }]
          : batchesOf(selection.wanted(catalog));
      await run.write(batches);
      await staging.commit(run.top, run.implicit);
      return {
        targetDir,
        ...run.counts,
        skippedDevices: run.skippedDevices,
        changedFiles: run.changedFiles,
        isComplete,
      };
    });
  } catch (error) {
    throw explain(error, request.targetDir);
  }
}

async function* everything(entries: AsyncIterable<PlacedEntry>): AsyncGenerator<WantedEntry> {
  for await (const entry of entries) yield { entry, path: entry.path, link: entry.link, isWay: false };
}

/** The catalog, which must be the one that was recorded. */
async function* checkedCatalog(request: FilesRestoreRequest): AsyncGenerator<PlacedEntry> {
  const sha256 = createHash('sha256');
  yield* readCatalog(hashed(request.reader.open(catalogName), sha256));
  if (sha256.digest('hex') !== request.facts.fingerprint) {
    throw new LifeboatError('integrity', 'cannot restore files: files.catalog is not the one that was recorded');
  }
}

async function* hashed(stream: AsyncIterable<Uint8Array>, sha256: Hash): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) {
    sha256.update(piece);
    yield piece;
  }
}

/** Files with holes may take less than they are long, so nothing is foretold with one of them. */
function checkSpace(staging: Staging, totals: { contentBytes: number; hasSparse: boolean }): void {
  if (totals.hasSparse || totals.contentBytes <= staging.freeBytes) return;
  throw new LifeboatError(
    'space',
    `cannot restore files: ${formatBytes(totals.contentBytes)} are ` +
      `needed and ${formatBytes(staging.freeBytes)} are free`,
    { state: 'nothing was changed', hint: 'make room there, or name another folder with --to-dir' },
  );
}

/** One restore into a staging folder. */
class RestoreRun {
  readonly counts = { files: 0, folders: 0, symlinks: 0, hardlinks: 0, contentBytes: 0 };
  readonly skippedDevices: string[] = [];
  readonly changedFiles: string[] = [];
  /** What the target itself gets, if an entry stands for it. */
  top: Rights | undefined;
  readonly #request: FilesRestoreRequest;
  readonly #context: RunContext;
  readonly #staging: Staging;
  readonly #prefix: Buffer;
  readonly #rightsOf: (entry: PlacedEntry) => Rights;
  readonly #tree: TargetTree;
  readonly #tasks = new TaskGroup(new Places(workers));
  #last: Buffer | undefined;

  constructor(
    request: FilesRestoreRequest,
    context: RunContext,
    staging: Staging,
    prefix: Buffer,
    rightsOf: (entry: PlacedEntry) => Rights,
    tree: TargetTree,
  ) {
    this.#request = request;
    this.#context = context;
    this.#staging = staging;
    this.#prefix = prefix;
    this.#rightsOf = rightsOf;
    this.#tree = tree;
  }

  get implicit(): ReadonlySet<string> {
    return this.#tree.implicit;
  }

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
    const cursor = new TarCursor(this.#request.reader.open(tarName, batch.range), batch.range?.start ?? 0);
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
    if (entry.type === 'folder') return this.#writeFolder(entry, components);
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

  async #writeFolder(entry: PlacedEntry, components: readonly Buffer[]): Promise<void> {
    if (components.length === 0) this.top = this.#rightsOf(entry);
    await this.#tree.addFolder(components, this.#rightsOf(entry));
    this.counts.folders++;
  }

  async #writeFile(
    entry: PlacedEntry,
    parent: Awaited<ReturnType<TargetTree['enter']>>,
    path: Buffer,
    cursor: TarCursor,
  ): Promise<void> {
    const file: FileToWrite = { path, entry, rights: this.#rightsOf(entry), sync: this.#staging.syncEach };
    if (entry.changed) this.#note(this.changedFiles, displayPath(entry.path));
    this.counts.files++;
    this.counts.contentBytes += entry.size;
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
    const { owner, mtimeSeconds } = this.#rightsOf(entry);
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
    if (!isWithin(path, this.#prefix)) return undefined;
    const rest = this.#prefix.length === 0 ? path : path.subarray(this.#prefix.length + 1);
    return rest.length === 0 ? [] : safeComponents(rest);
  }
}

/** Errors of the file system become an operator's errors; all others stay what they are. */
function explain(error: unknown, targetDir: string): unknown {
  const code = systemCodeOf(error);
  if (error instanceof LifeboatError || error instanceof AbortedError || code === undefined) return error;
  if (code === 'EEXIST') {
    return new LifeboatError('integrity', 'cannot restore files: two entries of the backup have the same place', {
      cause: error,
    });
  }
  const act = `cannot restore files into ${targetDir}`;
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  const told = fileError(error, act, { state: isFull ? 'what was written so far was removed' : undefined });
  if (told !== error) return told;
  const reason = messageOf(error).replaceAll(/\/proc\/self\/fd\/\d+/g, '…');
  return new LifeboatError('source', `${act}: ${reason}`, { cause: error });
}
