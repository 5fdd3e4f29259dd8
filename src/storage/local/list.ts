/**
 * Walks a folder in the order that a bucket would list it: byte order of whole keys, in which a folder
 * counts as its name with a slash ("a.b" < "a/x" < "a0"). Only the names of the folders on the way
 * down are in memory.
 */
import { lstat, readdir, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { HeldFolder } from '../../lib/held-folder.ts';
import { ignoreAbsent } from './errors.ts';
import { compareKeys } from '../key.ts';
import type { ObjectInfo } from '../storage.ts';

/** How many files are looked at side by side. */
const window = 64;

/**
 * Files below `folder`, whose key is `key` (with a slash at its end, or ''), whose own key begins with `beginning` and
 * is greater than `after`.
 */
export async function* walk(
  folder: HeldFolder,
  key: string,
  beginning: string,
  after: string,
): AsyncGenerator<ObjectInfo> {
  const entries = (await entriesOf(folder, key)).filter(
    (entry) => entry.key.startsWith(beginning) && mayHold(entry.key, entry.isFolder, after),
  );
  for (let from = 0; from < entries.length;) {
    const first = entries[from];
    if (first === undefined) return;
    if (first.isFolder) {
      using below = await folder.enterLater(basename(first.key)).catch(ignoreAbsent);
      if (below !== undefined) yield* walk(below, first.key, '', after);
      from++;
      continue;
    }
    const next = entries.findIndex((entry, index) => index > from && (entry.isFolder || index - from >= window));
    const files = entries.slice(from, next === -1 ? entries.length : next);
    for (const info of await Promise.all(files.map((file) => infoOf(folder, file)))) if (info !== undefined) yield info;
    from += files.length;
  }
}

interface Entry {
  readonly key: string;
  readonly isFolder: boolean;
  /** What it leads to, for a link that we may follow: an operator may have moved it to another disk. */
  readonly target?: string | undefined;
}

/** Keys of folders end with a slash, so that they sort as their contents do. */
async function entriesOf(folder: HeldFolder, above: string): Promise<Entry[]> {
  const found = await readdir(folder.child('.'), { withFileTypes: true }).catch(ignoreAbsent);
  const entries: Entry[] = [];
  for (const entry of found ?? []) {
    if (entry.name.startsWith('.')) continue;
    const key = `${above}${entry.name}`;
    if (entry.isSymbolicLink()) entries.push(await linked(folder, entry.name, key));
    else entries.push({ key: entry.isDirectory() ? `${key}/` : key, isFolder: entry.isDirectory() });
  }
  return entries.toSorted((a, b) => compareKeys(a.key, b.key));
}

/** Told even where it is not asked for: who planted it may have hidden a folder by it. */
async function linked(folder: HeldFolder, name: string, key: string): Promise<Entry> {
  const target = folder.targetOf(name);
  const isFolder = target !== undefined && (await stat(target).catch(ignoreAbsent))?.isDirectory() === true;
  return { key: isFolder ? `${key}/` : key, isFolder, target };
}

function mayHold(key: string, isFolder: boolean, after: string): boolean {
  return compareKeys(key, after) > 0 || (isFolder && after.startsWith(key));
}

/** Undefined for what vanished since its folder was read, and for what is no file. */
async function infoOf(folder: HeldFolder, { key, target }: Entry): Promise<ObjectInfo | undefined> {
  const looking = target === undefined ? lstat(folder.child(basename(key))) : stat(target);
  const file = await looking.catch(ignoreAbsent);
  return file?.isFile() === true ? { key, sizeBytes: file.size, modifiedMs: file.mtimeMs } : undefined;
}
