/** Where a root lies that is a link: it stays one; what is swapped is the folder that it leads to, where that is. */
import { LifeboatError } from '../../lib/errors.ts';
import { fileError } from '../../lib/file-errors.ts';
import { targetPlace } from '../../source/files/target-place.ts';

/**
 * The real path of a root, whether something is there or not. Throws LifeboatError `usage` (2) for a link that somebody
 * else may have put there.
 */
export function placeOf(root: string): string {
  try {
    return targetPlace(root, { create: false });
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw fileError(error, `cannot reach ${root}`, { state: nothingChanged });
    throw new LifeboatError(error.code, error.message, {
      state: nothingChanged,
      hint: 'give the link to root (chown -h root) in a folder of root, or restore into another folder with --to-dir',
      cause: error,
    });
  }
}

const nothingChanged = 'nothing was changed';

/** Throws (usage) where the root leads elsewhere by now: the restore may have taken hours. */
export function refuseMoved(root: string, live: string): void {
  if (placeOf(root) === live) return;
  throw new LifeboatError('usage', `cannot put the restored folder in place: ${root} leads elsewhere by now`, {
    hint: `it was ${live} when the restore began`,
  });
}
