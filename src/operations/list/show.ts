/** Everything known of one backup. Without a key: what its manifest tells. */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { readNotes } from '../../repository/backups/notes.ts';
import { readComponentFacts } from '../backup-facts.ts';
import { repositoryNeeds } from '../complete.ts';
import { withReadRepository } from '../open-repository.ts';
import { tellPassedOver } from '../choose-backup.ts';
import type { Operation } from '../operation.ts';
import type { ShownEvidence, ShowRequest, ShowResult } from './request.ts';
import { provenIn, proofStateOf } from '../proof/state.ts';
import { backupSummary } from './summary.ts';
import { type EvidencedBackup, readAllEvidence } from '../../repository/backups/evidence.ts';
import type { Repository } from '../../repository/repository.ts';

export const showOperation: Operation<ShowRequest, ShowRequest, ShowResult> = {
  need: () => repositoryNeeds,
  complete: (options) => options,
  run: show,
};

export async function show(loaded: LoadedConfig, request: ShowRequest, context: RunContext): Promise<ShowResult> {
  return withReadRepository(loaded, context, async (repository) => {
    const { backup: listed, passedOver } = await repository.resolve(request.id, {
      target: request.target,
      isProven: provenIn(repository),
    });
    tellPassedOver(passedOver, context.emit);
    const { manifest } = listed;
    if (manifest === undefined) {
      throw new LifeboatError(
        'integrity',
        `backup ${listed.id} cannot be shown: ${listed.reason ?? 'its manifest is damaged'}`,
        { hint: 'lifeboat list shows the others' },
      );
    }
    const facts = listed.trust === 'unchecked' ? undefined : await readComponentFacts(repository, manifest);
    const [standing, { note }] = await Promise.all([
      proofStateOf(repository, listed),
      readNotes(repository, listed.id),
    ]);
    return {
      repository: repository.storage.location,
      backup: backupSummary(listed, manifest, { note, standing }),
      versions: manifest.versions,
      previousId: manifest.previous?.id,
      dataKey: manifest.dataKey,
      components: manifest.components.map(({ artifacts, ...component }) => ({
        ...component,
        artifacts: artifacts.map(({ name, mediaType, bytes, chunks }) => ({ name, mediaType, bytes, chunks })),
        facts: facts?.get(component.name),
      })),
      evidence: await shownEvidence(repository, listed),
    };
  });
}

/** Every piece is opened, and one that does not count says why. Oldest first. */
async function shownEvidence(repository: Repository, backup: EvidencedBackup): Promise<ShownEvidence[]> {
  const pieces = await readAllEvidence(repository, backup);
  return pieces.map(({ object, at, level, result, evidence, reason }) => {
    if (evidence === undefined) return { object, at, level, result, reason };
    const { durationMs, bytes, counts, compared, steps, damaged, isolation } = evidence;
    return { object, at, level, result, durationMs, bytes, counts, compared, steps, damaged, isolation };
  });
}
