/**
 * Walks a folder of an SFTP server in the order that a bucket would list it: byte order of whole keys, in which a
 * folder counts as its name with a slash ("a.b" < "a/x" < "a0"). Only the names of the folders on the way down are in
 * memory. Links are not followed, but told: who planted one may have hidden a folder by it.
 */
import { compareKeys, isKey } from '../key.ts';
import { type ObjectInfo, StorageError } from '../storage.ts';
import { isKind, sizeAndStamp } from './attributes.ts';
import { ignoreAbsent } from './errors.ts';
import type { FileAttributes } from './packets.ts';
import type { Session } from './session.ts';

/** Names in one folder: more than any repository has in one. */
const mostEntries = 20_000_000;

/** What is walked: asks for a session anew before each folder. */
export interface Walked {
  readonly session: () => Promise<Session>;
  /** The path of a folder, by its key without a slash at its end. */
  readonly pathOf: (key: string) => string;
}

/**
 * Files below `folder`, a key with a slash at its end, or '', whose own key begins with `beginning` and is greater than
 * `after`. A folder that is not there holds nothing.
 */
export async function* walk(
  walked: Walked,
  folder: string,
  beginning: string,
  after: string,
): AsyncGenerator<ObjectInfo> {
  const entries = await entriesOf(
    walked,
    folder,
    ({ key, isFolder }) => key.startsWith(beginning) && mayHold(key, isFolder, after),
  );
  for (const { key, isFolder, attributes } of entries) {
    if (isFolder) yield* walk(walked, key, '', after);
    else yield { key, ...sizeAndStamp(attributes) };
  }
}

interface Entry {
  /** Of folders with a slash at the end, so that they sort as their contents do. */
  readonly key: string;
  readonly isFolder: boolean;
  readonly attributes: FileAttributes;
}

async function entriesOf(
  { session, pathOf }: Walked,
  above: string,
  isWanted: (entry: Entry) => boolean,
): Promise<Entry[]> {
  const entries: Entry[] = [];
  try {
    for await (const { name, attributes } of (await session()).readFolder(pathOf(above.slice(0, -1)))) {
      const entry = entryOf(above, name, attributes);
      if (entry !== undefined && isWanted(entry)) entries.push(entry);
      if (entries.length > mostEntries) throw new StorageError(`the folder ${above} has no end`);
    }
  } catch (error) {
    ignoreAbsent(error);
    return [];
  }
  return entries.sort((a, b) => compareKeys(a.key, b.key));
}

/** Undefined for what is no object: hidden names, and devices. */
function entryOf(above: string, name: Buffer, attributes: FileAttributes): Entry | undefined {
  const key = `${above}${name.toString()}`;
  if (name.includes('/') || !isKey(key)) return undefined;
  if (isKind(attributes, 'link')) {
    throw new StorageError(`${key} is a link: in a repository behind SFTP none is followed`, {
      hint: 'put in its place what it leads to, or mount that there',
    });
  }
  const isFolder = isKind(attributes, 'folder');
  if (!isFolder && !isKind(attributes, 'file')) return undefined;
  return { key: isFolder ? `${key}/` : key, isFolder, attributes };
}

function mayHold(key: string, isFolder: boolean, after: string): boolean {
  return compareKeys(key, after) > 0 || (isFolder && after.startsWith(key));
}
