/** Keeps a backup whatever the policy says, lets it go again, and tags it. */
import type { LoadedConfig } from '../../config/load.ts';
import type { RunContext } from '../../lib/events.ts';
import { acquireLease } from '../../repository/leases/acquire.ts';
import { holdOf, writeNote, type NoteChange } from '../../repository/backups/notes.ts';
import { audited } from '../audit/audited.ts';
import { chooseBackup } from '../choose-backup.ts';
import { noteWarnings } from '../warnings.ts';
import { withRepository } from '../open-repository.ts';
import type { HoldOptions, HoldRequest, HoldResult, ReleaseOptions, ReleaseRequest } from './request.ts';
import type { Operation } from '../operation.ts';
import { given, repositoryNeeds } from '../complete.ts';

export const hold = audited('hold', putOnHold);
export const release = audited('release', letGo);

export const holdOperation: Operation<HoldOptions, HoldRequest, HoldResult> = {
  need: () => repositoryNeeds,
  complete: (options) => ({ tags: [], ...given(options) }),
  run: hold,
};

export const releaseOperation: Operation<ReleaseOptions, ReleaseRequest, HoldResult> = {
  need: () => repositoryNeeds,
  complete: (options) => ({ tags: [], ...given(options) }),
  run: release,
};

async function putOnHold(
  loaded: LoadedConfig,
  { reason, tags, ...chosen }: HoldRequest,
  context: RunContext,
): Promise<HoldResult> {
  return change(loaded, chosen, 'hold', { hold: { reason: reason ?? '' }, addTags: tags }, context);
}

async function letGo(
  loaded: LoadedConfig,
  { tags, ...chosen }: ReleaseRequest,
  context: RunContext,
): Promise<HoldResult> {
  return change(loaded, chosen, 'release', { hold: null, removeTags: tags }, context);
}

/**
 * Under the lease of cleanups: one that runs has made up its mind already, and of two notes at once one would be lost.
 */
async function change(
  loaded: LoadedConfig,
  chosen: { readonly id: string; readonly target?: string | undefined },
  command: 'hold' | 'release',
  noteChange: NoteChange,
  context: RunContext,
): Promise<HoldResult> {
  const { context: noting, warnings } = noteWarnings(context);
  return withRepository(loaded, noting, async (repository) => {
    await using lease = await acquireLease(repository.storage, { scope: 'cleanup', command, signal: context.signal });
    const { manifest } = await chooseBackup(repository, chosen, noting.emit);
    await lease.check();
    const note = await writeNote(repository, manifest, noteChange);
    const held = holdOf(note, Date.now());
    return {
      id: manifest.id,
      target: manifest.target,
      held: held !== undefined,
      reason: held?.reason,
      tags: [...(manifest.tags ?? []), ...note.tags],
      warnings,
    };
  });
}
