/** Turns what the file system says into errors that an operator can act on. Judged by code only. */
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { fileReason } from '../../lib/file-errors.ts';
import { StorageError } from '../storage.ts';

/** `act` is what was tried and on what, e.g. "cannot write packs/ab/cd.pack to file:///backup". */
export function localError(act: string, error: unknown): LifeboatError {
  if (error instanceof LifeboatError) return error;
  const code = systemCodeOf(error) ?? '';
  const known = advice[code];
  const message = `${act}: ${fileReason(error)}`;
  if (known?.full === true) return new LifeboatError('space', message, { hint: known.hint, cause: error });
  return new StorageError(message, { hint: known?.hint, retryable: passing.has(code), cause: error });
}

/** True if the code says that nothing of that name is there. */
export function isAbsent(error: unknown): boolean {
  const code = systemCodeOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** For `.catch()`: absent becomes undefined, anything else is thrown again. */
export function ignoreAbsent(error: unknown): undefined {
  if (!isAbsent(error)) throw error;
}

interface Advice {
  readonly hint: string;
  readonly full?: boolean;
}

const rights = 'run lifeboat as the owner of the repository, or give this user the right to write there';
const advice: Readonly<Record<string, Advice>> = {
  ENOSPC: { hint: 'free some space, run: lifeboat cleanup, or move the repository to a larger disk', full: true },
  EDQUOT: { hint: 'raise the quota, or run: lifeboat cleanup', full: true },
  EFBIG: { hint: 'raise the limit', full: true },
  EROFS: { hint: 'look for disk errors (dmesg), then mount it writable again' },
  EACCES: { hint: rights },
  EPERM: { hint: rights },
  EIO: { hint: 'look at dmesg and the health of the disk (smartctl) before anything else' },
};

/** Seen on network file systems and under load; gone a moment later. */
const passing = new Set(['EAGAIN', 'EBUSY', 'EINTR', 'EMFILE', 'ENFILE', 'ESTALE', 'ETIMEDOUT', 'ENOLCK']);
