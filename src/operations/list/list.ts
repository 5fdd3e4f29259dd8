/** The backups in the repository. Needs no key; without one, seals cannot be checked, and each backup says so. */
import type { LoadedConfig } from '../../config/load.ts';
import { exitCodeWarnings } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { allNoteNames, readNotes } from '../../repository/backups/notes.ts';
import { findUnexplained, hiddenWarning } from '../../repository/deletion/hidden-manifests.ts';
import type { Repository } from '../../repository/repository.ts';
import { repositoryNeeds } from '../complete.ts';
import { withReadRepository } from '../open-repository.ts';
import type { Operation } from '../operation.ts';
import type { BackupSummary, ListRequest, ListResult } from './request.ts';
import { proofStates } from '../proof/state.ts';
import { backupSummary } from './summary.ts';

/** So many hidden backups are named; status names all. */
const maxTold = 20;

export const listOperation: Operation<ListRequest, ListRequest, ListResult> = {
  need: () => repositoryNeeds,
  complete: (options) => options,
  run: list,
  exitCode: ({ damaged }) => (damaged.length > 0 ? exitCodeWarnings : 0),
};

export async function list(loaded: LoadedConfig, request: ListRequest, context: RunContext): Promise<ListResult> {
  return withReadRepository(loaded, context, async (repository) => {
    const [proofStateOf, notes] = await Promise.all([proofStates(repository), allNoteNames(repository)]);
    const backups: BackupSummary[] = [];
    const damaged: { object: string; reason: string }[] = [];
    for await (const listed of repository.listManifests()) {
      if (listed.manifest === undefined) {
        damaged.push({ object: listed.object, reason: listed.reason ?? 'it cannot be read' });
        continue;
      }
      const names = notes.get(listed.id);
      const note = names === undefined ? undefined : (await readNotes(repository, listed.id, names)).note;
      if (!isWanted(backupSummary(listed, listed.manifest, { note }), request)) continue;
      backups.push(backupSummary(listed, listed.manifest, { note, standing: await proofStateOf(listed) }));
      if (backups.length === request.limit) break;
    }
    if (backups.length === 0) await tellHidden(repository, context);
    return { repository: repository.storage.location, backups: backups.reverse(), damaged };
  });
}

/** Where there is nothing to list somebody may have hidden it. */
async function tellHidden(repository: Repository, { emit }: RunContext): Promise<void> {
  for (const each of ((await findUnexplained(repository)) ?? []).slice(0, maxTold)) {
    const { message, hint } = hiddenWarning(each);
    emit({ type: 'warning', message: `${message}; ${hint}` });
  }
}

function isWanted(backup: BackupSummary, { target, type, tag }: ListRequest): boolean {
  return (
    (target === undefined || backup.target === target) &&
    (type === undefined || backup.type === type) &&
    (tag === undefined || backup.tags.includes(tag))
  );
}
