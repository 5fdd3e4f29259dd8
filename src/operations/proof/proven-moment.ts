/** Which recovery to a moment was proven last: for status, beside the moments that can be recovered. */
import { readEvidence, type EvidencedBackup } from '../../repository/backups/evidence.ts';
import type { EvidenceName } from '../../repository/backups/evidence-record.ts';
import type { Repository } from '../../repository/repository.ts';
import { restoreTimeMs } from './restore-time.ts';

/** Times RFC 3339 in UTC. */
export interface ProvenMoment {
  /** Of the backup with the base backup. */
  readonly id: string;
  /** What was recovered to. */
  readonly moment: string;
  /** When that was done. */
  readonly provenAt: string;
  readonly restoreMs: number;
  /** The evidence. */
  readonly object: string;
}

const noted = 'recovered to ';

/** As it stands in the evidence of a drill. */
export function momentNote(moment: string): string {
  return `${noted}${moment}`;
}

/** The newest among these backups; only evidence that counts. `names`: all evidence by backup. */
export async function newestProvenMoment(
  repository: Repository,
  backups: readonly EvidencedBackup[],
  names: ReadonlyMap<string, readonly EvidenceName[]>,
): Promise<ProvenMoment | undefined> {
  const pieces = backups.flatMap((backup) =>
    (names.get(backup.id) ?? [])
      .filter(({ level, result }) => level === 'pitr' && result === 'ok')
      .map((name) => ({ backup, name })),
  );
  for (const { backup, name } of pieces.toSorted((a, b) => Date.parse(b.name.at) - Date.parse(a.name.at))) {
    const { evidence } = await readEvidence(repository, backup, name);
    const moment = evidence?.notes.find((note) => note.startsWith(noted))?.slice(noted.length);
    if (evidence !== undefined && moment !== undefined) {
      return {
        id: backup.id,
        moment,
        provenAt: evidence.finishedAt,
        restoreMs: restoreTimeMs(evidence.steps),
        object: name.object,
      };
    }
  }
  return undefined;
}
