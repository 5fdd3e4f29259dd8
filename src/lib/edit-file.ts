/**
 * Changes a file of text that somebody keeps by hand: as a whole or not at all, with its owner, group and mode. A link
 * to it stays, if it is one that we may follow (held-folder.ts), and what others change meanwhile is not lost.
 */
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readHandleAtMost } from './bounded-read.ts';
import { LifeboatError } from './errors.ts';
import { syncFolder } from './fs.ts';
import { createFile, openFile, removeIn } from './held-files.ts';
import { HeldFolder } from './held-folder.ts';

const maxBytes = 16 * 1024 * 1024;
const maxLinks = 8;

/**
 * `edit` gets the text and returns the new one; undefined leaves it as it is. Throws LifeboatError `usage` (2) for what
 * is no text, what somebody else changes meanwhile, and where the new file could not belong to whom the old one does;
 * what `edit` throws, and what the file system refuses.
 */
export async function editFile(path: string, edit: (text: string) => Promise<string | undefined>): Promise<void> {
  const { folder, name } = behindLinks(path);
  using _ = folder;
  await folder.namedLater(async () => {
    const { text, stats } = await readText(folder, name);
    const edited = await edit(text);
    if (edited !== undefined && edited !== text) await replace(folder, name, { text, stats }, edited);
  });
}

interface TextFile {
  readonly text: string;
  readonly stats: Stats;
}

async function replace(folder: HeldFolder, name: string, before: TextFile, text: string): Promise<void> {
  const temporary = `.tmp-${randomBytes(8).toString('hex')}`;
  try {
    await using file = await createFile(folder, temporary, { owner: before.stats });
    await file.writeFile(text);
    await file.chmod(before.stats.mode & 0o7777);
    await file.sync();
    refuseOtherOwner(join(folder.path, name), await file.stat(), before.stats);
    if ((await readText(folder, name)).text !== before.text) throw changedMeanwhile(join(folder.path, name));
    await rename(folder.child(temporary), folder.child(name));
  } catch (error) {
    await removeIn(folder, temporary).catch(() => {});
    throw error;
  }
  await syncFolder(folder.child('.'));
}

/** The folder that a file lies in, and its name there. */
function behindLinks(path: string, links = 0): { folder: HeldFolder; name: string } {
  const folder = HeldFolder.open(dirname(path));
  try {
    const target = folder.named(() => folder.targetOf(basename(path)));
    if (target === undefined) return { folder: folder.again(), name: basename(path) };
    if (links < maxLinks) return behindLinks(target, links + 1);
    throw new LifeboatError('usage', `cannot change ${path}: its symbolic links lead in a circle`);
  } finally {
    folder[Symbol.dispose]();
  }
}

async function readText(folder: HeldFolder, name: string): Promise<TextFile> {
  await using file = await openFile(folder, name);
  const path = join(folder.path, name);
  const stats = await file.stat();
  if (!stats.isFile()) throw new LifeboatError('usage', `cannot change ${path}: it is no plain file`);
  const bytes = await readHandleAtMost(file, path, maxBytes);
  const text = bytes.toString();
  if (Buffer.from(text).equals(bytes)) return { text, stats };
  throw new LifeboatError('usage', `cannot change ${path}: it is no text in UTF-8`);
}

/** Who may not give files away writes only their own. */
function refuseOtherOwner(path: string, made: Stats, before: Stats): void {
  if (made.uid === before.uid && made.gid === before.gid && made.mode === before.mode) return;
  throw new LifeboatError('usage', `cannot change ${path}: its owner, group or mode could not be kept`, {
    hint: 'run it as the user that the file belongs to, or as root',
  });
}

function changedMeanwhile(path: string): LifeboatError {
  return new LifeboatError('usage', `cannot change ${path}: somebody else has just done so`, {
    hint: 'run it again',
    retryable: true,
  });
}
