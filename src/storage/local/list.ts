/**
 * Walks a folder in the order that a bucket would list it: byte order of whole keys, in which a folder
 * counts as its name with a slash ("a.b" < "a/x" < "a0"). Only the names of the folders on the way
 * down are in memory.
 */
import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ignoreAbsent } from './errors.ts';
import { compareKeys } from '../key.ts';
import type { ObjectInfo } from '../storage.ts';

/** How many files are looked at side by side. */
const window = 64;

/** Files below `root` whose key begins with `prefix` and is greater than `after`. A missing folder is an empty one. */
export async function* walk(root: string, prefix: string, after = ''): AsyncGenerator<ObjectInfo> {
  const cut = prefix.lastIndexOf('/') + 1;
  yield* walkFolder(root, prefix.slice(0, cut), prefix.slice(cut), after);
}

interface Entry {
  readonly key: string;
  readonly isFolder: boolean;
}

async function* walkFolder(root: string, folder: string, beginning: string, after: string): AsyncGenerator<ObjectInfo> {
  const entries = (await entriesOf(root, folder)).filter(
    ({ key, isFolder }) => key.startsWith(folder + beginning) && mayHold(key, isFolder, after),
  );
  for (let from = 0; from < entries.length;) {
    const first = entries[from];
    if (first === undefined) return;
    if (first.isFolder) {
      yield* walkFolder(root, first.key, '', after);
      from++;
      continue;
    }
    const next = entries.findIndex((entry, index) => index > from && (entry.isFolder || index - from >= window));
    const files = entries.slice(from, next === -1 ? entries.length : next);
    for (const info of await Promise.all(files.map(({ key }) => infoOf(root, key)))) if (info !== undefined) yield info;
    from += files.length;
  }
}

/** Keys of folders end with a slash, so that they sort as their contents do. */
async function entriesOf(root: string, folder: string): Promise<Entry[]> {
  const found = await readdir(join(root, folder), { withFileTypes: true }).catch(ignoreAbsent);
  const entries: Entry[] = [];
  for (const entry of found ?? []) {
    if (entry.name.startsWith('.')) continue;
    const isFolder = entry.isSymbolicLink() ? await leadsToFolder(root, folder, entry) : entry.isDirectory();
    entries.push({ key: `${folder}${entry.name}${isFolder ? '/' : ''}`, isFolder });
  }
  return entries.toSorted((a, b) => compareKeys(a.key, b.key));
}

/** An operator may have moved a folder to another disk. */
async function leadsToFolder(root: string, folder: string, entry: Dirent): Promise<boolean> {
  return (await stat(join(root, folder, entry.name)).catch(ignoreAbsent))?.isDirectory() === true;
}

function mayHold(key: string, isFolder: boolean, after: string): boolean {
  return compareKeys(key, after) > 0 || (isFolder && after.startsWith(key));
}

/** Undefined for what vanished since its folder was read, and for what is no file. */
async function infoOf(root: string, key: string): Promise<ObjectInfo | undefined> {
  const file = await stat(join(root, key)).catch(ignoreAbsent);
  return file?.isFile() === true ? { key, sizeBytes: file.size, modifiedMs: file.mtimeMs } : undefined;
}
