/**
 * Brings file trees back: all of a backup in one pass over its tar, or chosen paths by the ranges that
 * hold them. What an archive says is not trusted: every header is compared with the catalog, every
 * content with its SHA-256, every path must lie below the target and come in the order of the tree
 * (so none comes twice). Device nodes are never made.
 */
import { createHash, type Hash } from 'node:crypto';
import { AbortedError, LifeboatError, messageOf, systemCodeOf } from '../../lib/errors.ts';
import { fileError } from '../../lib/file-errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { formatBytes } from '../../lib/units.ts';
import type { ArtifactReader } from '../source.ts';
import { type PlacedEntry, readCatalog } from './catalog.ts';
import type { FilesFacts } from './facts.ts';
import { type OwnersPolicy, rightsPolicy } from './restore-rights.ts';
import { batchesOf, Selection, type WantedEntry } from './selection.ts';
import { catalogName } from './source.ts';
import { type Staging, withStaging } from './staging.ts';
import { TargetTree } from './target-tree.ts';
import { TreeWriter } from './tree-writer.ts';

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
      const { reader } = request;
      const options = { reader, prefix, rightsOf: rightsPolicy(owners), syncEach: staging.syncEach };
      const run = new TreeWriter(options, await TargetTree.open(staging.path), context);
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
