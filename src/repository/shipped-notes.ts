/**
 * Notes of what one call of `wal push` archived along with its own file, so that the calls for those return at once:
 * one small file for each, named like it and younger than it, that holds the id of the repository it speaks of. The
 * recommended archive_command looks there before it starts any program. A note that is lost costs one comparison; one
 * that is older than its file, or of another repository, counts for nothing.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { forEachSideBySide, libuvThreads } from '../lib/concurrency.ts';
import { systemCodeOf } from '../lib/errors.ts';
import { fileError, stateFolderHint, tellingFileErrors } from '../lib/file-errors.ts';
import { ensureFolder } from '../lib/fs.ts';
import { readTextAt, removeFile, rewriteFile } from '../lib/held-files.ts';
import { removeTree } from '../lib/remove-tree.ts';

/** An id has 36. */
const maxNoteBytes = 1024;

/** The folder of all notes: it has one below it for each data directory, as the archive_command builds its name. */
export function shippedRoot(stateDir: string): string {
  return join(stateDir, 'wal', 'shipped');
}

/** The folder for a cluster that is known by its data directory. */
export function shippedFolder(stateDir: string, dataDir: string): string {
  return join(shippedRoot(stateDir), dataDir);
}

/**
 * True if the file at `path` was archived in that repository by an earlier call. Throws `usage` (2) where this user may
 * not look.
 */
export async function isShipped(folder: string, path: string, repositoryId: string): Promise<boolean> {
  const notePath = join(folder, basename(path));
  try {
    const [note, file] = await Promise.all([stat(notePath, { bigint: true }), stat(path, { bigint: true })]);
    return note.mtimeNs > file.mtimeNs && (await speaksOf(notePath)) === repositoryId;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return false;
    throw fileError(error, `cannot look at ${path} and its note in ${folder}`, { hint: stateFolderHint });
  }
}

/** Notes that a file is archived in that repository; only once it is. */
export async function noteShipped(folder: string, name: string, repositoryId: string): Promise<void> {
  await tellingFileErrors(`cannot write to ${folder}`, { hint: stateFolderHint }, async () => {
    await ensureFolder(folder);
    await rewriteFile(join(folder, name), `${repositoryId}\n`);
  });
}

/**
 * Removes the notes of files that nobody will ask for again, and those of other repositories: the archive_command
 * itself does not read them. A note that stays costs at most what it spoke of, so that none is a failure.
 */
export async function pruneShipped(folder: string, ready: ReadonlySet<string>, repositoryId: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  await forEachSideBySide(names, libuvThreads, async (name) => {
    const path = join(folder, name);
    const counts = ready.has(name) && (await speaksOf(path).catch(() => undefined)) === repositoryId;
    if (!counts) await removeFile(path).catch(() => {});
  });
}

/** All of them: this host learns just now which repository is where. One that stays is seen by the next push. */
export async function forgetShipped(stateDir: string): Promise<void> {
  await removeTree(shippedRoot(stateDir)).catch(() => {});
}

/** The repository of a note; that of older versions names none. */
async function speaksOf(path: string): Promise<string> {
  return (await readTextAt(path, maxNoteBytes)).trim();
}
