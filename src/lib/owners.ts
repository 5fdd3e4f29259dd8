/**
 * Whose a file is that root makes in a folder of another user (a drill, a recovery at night): that user's, or
 * the user's own runs could neither read nor write it afterwards.
 */
import { fchownSync } from 'node:fs';
import { systemCodeOf } from './errors.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
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
