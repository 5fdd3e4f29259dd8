/**
 * Takes a deleted backup back within its grace time, or shows one again that somebody hid; and puts it on hold: the
 * next cleanup might delete it again.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { findUnexplained, unhideContents } from '../../repository/deletion/hidden-manifests.ts';
import { acquireLease } from '../../repository/leases/acquire.ts';
import { writeNote } from '../../repository/backups/notes.ts';
import { findInTrash, takeFromTrash } from '../../repository/deletion/trash.ts';
import { audited } from '../audit/audited.ts';
import { noteWarnings } from '../warnings.ts';
import { withRepository } from '../open-repository.ts';
import type { UndeleteOptions, UndeleteRequest, UndeleteResult } from './request.ts';
import type { Operation } from '../operation.ts';
import { given, repositoryNeeds } from '../complete.ts';

export const undelete = audited('undelete', takeOut);

export const undeleteOperation: Operation<UndeleteOptions, UndeleteRequest, UndeleteResult> = {
  need: () => repositoryNeeds,
  complete: (options) => ({ hold: true, ...given(options) }),
  run: undelete,
};

async function takeOut(loaded: LoadedConfig, request: UndeleteRequest, context: RunContext): Promise<UndeleteResult> {
  const { context: noting, warnings } = noteWarnings(context);
  return withRepository(loaded, noting, async (repository) => {
    await using lease = await acquireLease(repository.storage, {
      scope: 'cleanup',
      command: 'undelete',
      signal: context.signal,
    });
    const unexplained = (await findUnexplained(repository)) ?? [];
    const hidden = unexplained.filter(({ by }) => by === 'marker').map(({ listed }) => listed);
    const found = await findInTrash(repository, request.id, request.target, hidden);
    const { id, manifest, trust, reason } = found;
    if (manifest === undefined) {
      throw new LifeboatError(
        'integrity',
        `backup ${id} cannot be taken back: ${reason ?? 'its manifest is damaged'}`,
        { state: 'nothing was changed' },
      );
    }
    if (trust === 'unchecked') {
      throw new LifeboatError('key', `backup ${id} cannot be checked: ${reason ?? 'no key opens it'}`, {
        state: 'nothing was changed',
        hint: 'configure the key on the recovery sheet',
      });
    }
    if (trust !== 'sealed') {
      noting.emit({ type: 'warning', message: `backup ${id} cannot be trusted: ${reason ?? 'unknown'}` });
    }
    // Before it is live: a note of a backup that is in trash does no harm.
    if (request.hold) await writeNote(repository, manifest, { hold: { reason: 'taken back from trash' } });
    const isHidden = hidden.includes(found);
    if (isHidden) await unhideContents(repository.storage, manifest);
    await takeFromTrash(repository, manifest, found.seal, () => lease.check(), isHidden);
    return { id, target: manifest.target, held: request.hold, warnings };
  });
}
