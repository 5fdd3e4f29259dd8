/**
 * Notes of what one call of `wal push` archived along with its own file, so that the calls for those return at once:
 * one small file for each, named like it and younger than it. The recommended archive_command looks there before it
 * starts any program. A note that is lost costs one comparison; one that is older than its file counts for nothing.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { forEachSideBySide, libuvThreads } from '../../lib/concurrency.ts';
import { systemCodeOf } from '../../lib/errors.ts';
import { fileError, stateFolderHint, tellingFileErrors } from '../../lib/file-errors.ts';
import { ensureFolder } from '../../lib/fs.ts';
import { removeFile, rewriteFile } from '../../lib/held-files.ts';

/** The folder for a cluster that is known by its data directory. */
export function shippedFolder(stateDir: string, dataDir: string): string {
  return join(stateDir, 'wal', 'shipped', dataDir);
}

/** True if the file at `path` was archived by an earlier call. Throws `usage` (2) where this user may not look. */
export async function isShipped(folder: string, path: string): Promise<boolean> {
  try {
    const [note, file] = await Promise.all([
      stat(join(folder, basename(path)), { bigint: true }),
      stat(path, { bigint: true }),
    ]);
    return note.mtimeNs > file.mtimeNs;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return false;
    throw fileError(error, `cannot look at ${path} and its note in ${folder}`, { hint: stateFolderHint });
  }
}

/** Notes that a file is archived; only once it is. */
export async function noteShipped(folder: string, name: string): Promise<void> {
  await tellingFileErrors(`cannot write to ${folder}`, { hint: stateFolderHint }, async () => {
    await ensureFolder(folder);
    await rewriteFile(join(folder, name), 'archived\n');
  });
}

/**
 * Removes the notes of files that nobody will ask for again. One that stays does no harm, so that none is a failure.
 */
export async function pruneShipped(folder: string, ready: ReadonlySet<string>): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const idle = names.filter((name) => !ready.has(name));
  await forEachSideBySide(idle, libuvThreads, async (name) => removeFile(join(folder, name)).catch(() => {}));
}
