/**
 * What was found out about a backup so far, as `show` tells it: every piece of evidence is opened, and one that does
 * not count says why.
 */
import { readAllEvidence, type EvidencedBackup } from '../repository/backups/evidence.ts';
import type { Repository } from '../repository/repository.ts';
import type { ShownEvidence } from './list/request.ts';

/** Oldest first. */
export async function shownEvidence(repository: Repository, backup: EvidencedBackup): Promise<ShownEvidence[]> {
  const pieces = await readAllEvidence(repository, backup);
  return pieces.map(({ object, at, level, result, evidence, reason }) => {
    if (evidence === undefined) return { object, at, level, result, reason };
    const { durationMs, bytes, counts, compared, steps, damaged } = evidence;
    return { object, at, level, result, durationMs, bytes, counts, compared, steps, damaged };
  });
}
