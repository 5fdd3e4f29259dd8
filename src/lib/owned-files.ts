/**
 * New files and folders for the user of a throwaway server, in folders of ours: so nobody else can put something in
 * their way, and what root gives away it has just made.
 */
import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { give, type Owner } from './owners.ts';

/** A new file; complete before it belongs to `owner` (undefined: to us). */
export async function writeOwned(
  path: string,
  content: string | Uint8Array | AsyncIterable<Uint8Array>,
  owner: Owner | undefined,
  mode = 0o600,
): Promise<string> {
  await using file = await open(path, 'wx', mode);
  await file.writeFile(content);
  await file.chmod(mode);
  give(file.fd, owner);
  return path;
}

/** A new, empty folder (0700). */
export async function makeOwned(path: string, owner: Owner | undefined): Promise<string> {
  await mkdir(path, { mode: 0o700 });
  await giveFolder(path, owner);
  return path;
}

/** A folder that was made a moment ago; what lies in its place by now, if it is not a folder, is not given away. */
export async function giveFolder(path: string, owner: Owner | undefined): Promise<void> {
  if (owner === undefined) return;
  await using folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  give(folder.fd, owner);
}
