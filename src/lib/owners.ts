/**
 * Whose a file is that root makes in a folder of another user (a drill, a recovery at night): that user's, or
 * the user's own runs could neither read nor write it afterwards. Calls of a moment, and rare: synchronous.
 */
import { closeSync, constants, fchownSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { systemCodeOf } from './errors.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The owner of `folder` if we are root and it is somebody else's; else undefined, and there is nothing to give away.
 */
export function foreignOwner(folder: string): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = statSync(folder);
  return uid === 0 ? undefined : { uid, gid };
}

/** An open file or folder, as far as the file system has owners and takes root for root. */
export function give(fd: number, owner: Owner | undefined): void {
  if (owner === undefined) return;
  try {
    fchownSync(fd, owner.uid, owner.gid);
  } catch (error) {
    if (!['EPERM', 'EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(systemCodeOf(error) ?? '')) throw error;
  }
}

/** A folder that was made a moment ago; what lies in its place by now, if it is not a folder, is not given away. */
export function giveFolder(path: string, owner: Owner | undefined): void {
  if (owner === undefined) return;
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    give(fd, owner);
  } finally {
    closeSync(fd);
  }
}

/** New folders from `first`, as a recursive mkdir names it, down to `path`: to the owner of what `first` lies in. */
export function giveNewFolders(first: string | undefined, path: string): void {
  if (first === undefined) return;
  const owner = foreignOwner(dirname(first));
  for (let each = path; each.length >= first.length; each = dirname(each)) giveFolder(each, owner);
}
