/**
 * Files in folders that may be another user's: made, read, written to and removed by descriptors of their folders
 * (held-folder.ts), so that a link that is planted there leads nowhere and what is exchanged meanwhile is not touched.
 * Each function throws LifeboatError `usage` (2) where the way leads through a link of somebody else.
 */
import fs, { type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { readHandleAtMost } from './bounded-read.ts';
import { LifeboatError, systemCodeOf } from './errors.ts';
import { HeldFolder } from './held-folder.ts';
import { give, type Owner } from './owners.ts';

const { O_RDONLY, O_RDWR, O_WRONLY, O_CREAT, O_EXCL, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
const maxLinks = 8;

/** A new file; EEXIST if there is anything of that name. Root's belongs to the owner of the folder, or to `owner`. */
export async function createFile(
  folder: HeldFolder,
  name: string,
  { mode = 0o600, owner = folder.owner }: { readonly mode?: number; readonly owner?: Owner | undefined } = {},
): Promise<FileHandle> {
  return folder.namedLater(async () => {
    const file = await open(folder.child(name), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    try {
      give(file.fd, owner);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  });
}

/**
 * For reading, also by a link that we may follow (HeldFolder); it may be no file, which keeps nobody waiting. Throws
 * LifeboatError `usage` (2) for another link, and for another name of somebody's file.
 */
export async function openFile(folder: HeldFolder, name: string): Promise<FileHandle> {
  return folder.namedLater(async () => openPlain(folder, name, O_RDONLY, maxLinks));
}

async function openPlain(folder: HeldFolder, name: string, flags: number, links: number): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(folder.child(name), flags | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    const target = systemCodeOf(error) === 'ELOOP' && links > 0 ? folder.targetOf(name) : undefined;
    if (target === undefined) throw error;
    using there = HeldFolder.open(dirname(target));
    return await there.namedLater(async () => openPlain(there, basename(target), flags, links - 1));
  }
  try {
    refuseSecondName(folder, name, await file.stat());
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A new file with its content. */
export async function writeIn(folder: HeldFolder, name: string, data: string | Uint8Array): Promise<void> {
  await using file = await createFile(folder, name);
  await file.writeFile(data);
}

/** A file or a link; nothing happens if there is none. */
export async function removeIn(folder: HeldFolder, name: string): Promise<void> {
  await folder.namedLater(async () => fs.promises.unlink(folder.child(name))).catch(ignoreAbsent);
}

/** Gives all folders below `folder`, and itself at last, to their new owner; files and links stay as they are. */
export function giveFolders(folder: HeldFolder, owner: Owner): void {
  for (const entry of fs.readdirSync(folder.child('.'), { withFileTypes: true, encoding: 'buffer' })) {
    if (!entry.isDirectory()) continue;
    using below = folder.enterBytes(entry.name);
    giveFolders(below, owner);
  }
  folder.giveTo(owner);
}

/** The same by path: a new file. */
export async function createFileAt(path: string, mode = 0o600): Promise<FileHandle> {
  using folder = HeldFolder.open(dirname(path));
  return await createFile(folder, basename(path), { mode });
}

/** A new file with its content; `flush`: durable. */
export async function writeNewFile(
  path: string,
  data: string | Uint8Array | AsyncIterable<Uint8Array>,
  { mode = 0o600, flush = false }: { readonly mode?: number; readonly flush?: boolean } = {},
): Promise<void> {
  await using file = await createFileAt(path, mode);
  await file.writeFile(data);
  if (flush) await file.sync();
}

/** The same in the place of what has that name. Not at once: see writeFileAtomic. */
export async function rewriteFile(path: string, data: string | Uint8Array): Promise<void> {
  await removeFile(path);
  await writeNewFile(path, data);
}

/** Histories of years fit into it. */
const maxTextBytes = 64 * 1024 * 1024;

/** All of a plain file, as text; LifeboatError `integrity` for one that is larger than any of ours. */
export async function readTextAt(path: string, maxBytes = maxTextBytes): Promise<string> {
  using folder = HeldFolder.open(dirname(path));
  await using file = await openFile(folder, basename(path));
  if (!(await file.stat()).isFile()) throw refused(folder, basename(path));
  return String(await readHandleAtMost(file, path, maxBytes));
}

/** To the end of a file, which is made if it is not there. */
export async function appendTo(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  using folder = HeldFolder.open(dirname(path));
  const name = basename(path);
  await folder.namedLater(async () => {
    await using file = await openPlain(folder, name, O_WRONLY | O_APPEND, maxLinks).catch(async (error: unknown) => {
      if (systemCodeOf(error) !== 'ENOENT') throw error;
      return createFile(folder, name, { mode });
    });
    if (!(await file.stat()).isFile()) throw refused(folder, name);
    await file.appendFile(data);
  });
}

/** A file or a link; nothing happens if there is none. */
export async function removeFile(path: string): Promise<void> {
  try {
    using folder = HeldFolder.open(dirname(path));
    await removeIn(folder, basename(path));
  } catch (error) {
    ignoreAbsent(error);
  }
}

function ignoreAbsent(error: unknown): void {
  if (systemCodeOf(error) !== 'ENOENT' && systemCodeOf(error) !== 'ENOTDIR') throw error;
}

/** A second name, made by who owns the folder, may be one of a file that they may not read. */
function refuseSecondName(folder: HeldFolder, name: string, file: Stats): void {
  const { uid } = folder.stat();
  const isForeign = uid !== 0 && uid !== process.geteuid?.();
  if (file.isFile() && isForeign && file.nlink > 1 && file.uid !== uid) throw refused(folder, name);
}

function refused(folder: HeldFolder, name: string): LifeboatError {
  return new LifeboatError('usage', `cannot use ${folder.path}/${name}: it is no plain file of its own`, {
    hint: 'see who put it there, and remove it',
  });
}
