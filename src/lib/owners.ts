/**
 * Whose a file is that root makes in a folder of another user (a drill, a recovery at night): that user's, or
 * the user's own runs could neither read nor write it afterwards.
 */
import { constants, fchownSync, closeSync, openSync, statSync } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCodeOf } from './errors.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The owner of `folder` if we are root and it is somebody else's; else undefined, and there is nothing to give away. */
export async function foreignOwner(folder: string): Promise<Owner | undefined> {
  return process.getuid?.() === 0 ? ownerBut0(await stat(folder)) : undefined;
}

/** As far as the file system has owners and takes root for root. */
export async function giveFile(file: FileHandle, owner: Owner | undefined): Promise<void> {
  if (owner !== undefined) await file.chown(owner.uid, owner.gid).catch(ignoreNoOwners);
}

/** A folder that was made a moment ago; what lies in its place by now, if it is none, is not given away. */
export async function giveFolder(path: string, owner: Owner | undefined): Promise<void> {
  if (owner === undefined) return;
  await using folder = await open(path, folderOnly);
  await giveFile(folder, owner);
}

/** The same at once: folders from `first` down to `path`, to the owner of what `first` lies in. */
export function giveFoldersSync(first: string, path: string): void {
  const owner = process.getuid?.() === 0 ? ownerBut0(statSync(dirname(first))) : undefined;
  if (owner !== undefined) for (let each = path; each.length >= first.length; each = dirname(each)) giveFolderSync(each, owner);
}

function giveFolderSync(path: string, owner: Owner): void {
  const fd = openSync(path, folderOnly);
  try {
    fchownSync(fd, owner.uid, owner.gid);
  } catch (error) {
    ignoreNoOwners(error);
  } finally {
    closeSync(fd);
  }
}

const folderOnly = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

function ownerBut0({ uid, gid }: Owner): Owner | undefined {
  return uid === 0 ? undefined : { uid, gid };
}

function ignoreNoOwners(error: unknown): void {
  if (!['EPERM', 'EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(systemCodeOf(error) ?? '')) throw error;
}
