/** A restored folder in the place of the live one, and the way back. */
import { rename } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import { fileReason } from '../../lib/file-errors.ts';
import { syncFolder } from '../../lib/fs.ts';
import { HeldFolder } from '../../lib/held-folder.ts';
import { commandLine } from '../shell-words.ts';
import type { RestoredComponent } from './request.ts';

/**
 * Two renames, since there is no exchange: killed between them, the live one is missing, and the next attempt does the
 * second. `kept`: the name for the live one; undefined: there is none. Throws `usage` (2) where one cannot be renamed.
 */
export async function swapFolders(live: string, beside: string, kept: string | undefined): Promise<void> {
  const state = `the restored folder is complete: ${beside}`;
  using folder = HeldFolder.open(dirname(live));
  // Beside each other: nobody can lead one of them elsewhere meanwhile.
  const move = async (from: string, to: string): Promise<void> =>
    folder.namedLater(async () => rename(folder.child(basename(from)), folder.child(basename(to))));
  try {
    if (kept !== undefined) await move(live, kept);
  } catch (cause) {
    throw new LifeboatError('usage', `cannot rename ${live}: ${fileReason(cause)}`, {
      state,
      hint: 'a mount point cannot be swapped: copy the restored folder into it',
      cause,
    });
  }
  try {
    await move(beside, live);
  } catch (cause) {
    if (kept !== undefined) await move(kept, live);
    throw new LifeboatError('usage', `cannot rename ${beside}: ${fileReason(cause)}`, {
      state: `${live} is as it was; ${state}`,
      cause,
    });
  }
  await syncFolder(folder.child('.'));
}

/** What a result says of it. */
export function keptAs(live: string, kept: string | undefined): Pick<RestoredComponent, 'kept' | 'undo'> {
  return kept === undefined
    ? {}
    : {
        kept,
        undo: `${commandLine(['mv', '-T', live, `${live}_undone`])} && ${commandLine(['mv', '-T', kept, live])}`,
      };
}
