/** Takes a deleted backup back within its grace time, and puts it on hold: the next cleanup would delete it again. */
import type { LoadedConfig } from '../config/load.ts';
import { LifeboatError } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import { acquireLease } from '../repository/lease.ts';
import { writeNote } from '../repository/notes.ts';
import { findInTrash, takeFromTrash } from '../repository/trash.ts';
import { audited } from './audited.ts';
import { noteWarnings } from './noting.ts';
import { withRepository } from './open-repository.ts';
import type { UndeleteRequest, UndeleteResult } from './requests.ts';

export const undelete = audited('undelete', takeOut);

async function takeOut(loaded: LoadedConfig, request: UndeleteRequest, context: RunContext): Promise<UndeleteResult> {
  const { context: noting, warnings } = noteWarnings(context);
  return withRepository(loaded, noting, async (repository) => {
    await using lease = await acquireLease(repository.storage, { scope: 'cleanup', command: 'undelete', signal: context.signal });
    const { id, manifest, trust, reason } = await findInTrash(repository, request.id, request.target);
    if (manifest === undefined) throw new LifeboatError('integrity', `backup ${id} cannot be taken back: ${reason ?? 'its manifest is damaged'}`, { state: 'nothing was changed' });
    if (trust === 'unchecked') throw new LifeboatError('key', `backup ${id} cannot be checked: ${reason ?? 'no key opens it'}`, { state: 'nothing was changed', hint: 'configure the key on the recovery sheet' });
    if (trust !== 'sealed') noting.emit({ type: 'warning', message: `backup ${id} cannot be trusted: ${reason ?? 'unknown'}` });
    // Before it is live: a note of a backup that is in trash does no harm.
    if (request.hold) await writeNote(repository, manifest, { hold: { reason: 'taken back from trash' } });
    await takeFromTrash(repository.storage, manifest, () => lease.check());
    return { id, target: manifest.target, held: request.hold, warnings };
  });
}
