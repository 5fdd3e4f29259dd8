/**
 * Which packs a sample reads, by their ids (lib/rotation.ts): each run takes the next part. What was taken last stands
 * in the newest evidence of a sample; without any the date decides.
 */
import { partsOf, shareAfter, shareOfDay, type Share } from '../../lib/rotation.ts';
import { allEvidenceNames, readEvidence } from '../../repository/backups/evidence.ts';
import { isAheadOfClocks } from '../../repository/clocks.ts';
import type { Repository } from '../../repository/repository.ts';
import { NotFoundError } from '../../storage/storage.ts';

/** So many pieces of evidence are tried, newest first: more than one only where some do not count. */
const maxTried = 20;

/** The part to read now, whichever backups are checked. `percent` over 0 to 100. */
export async function nextSample(repository: Repository, percent: number, now = Date.now()): Promise<Share> {
  const parts = partsOf(percent);
  const names = [...(await allEvidenceNames(repository)).values()].flat().filter(({ level }) => level === 'sample');
  const past = names.filter(({ at }) => !isAheadOfClocks(at, now));
  for (const name of past.toSorted((a, b) => (a.at < b.at ? 1 : -1)).slice(0, maxTried)) {
    const backup = await repository.readManifest(name.backupId).catch(ignoreAbsent);
    if (backup?.trust !== 'sealed') continue;
    const { evidence } = await readEvidence(repository, backup, name);
    const { samplePart, sampleParts } = evidence?.counts ?? {};
    // Another share than last time: its parts are others, so any will do.
    if (samplePart !== undefined && sampleParts === parts) return shareAfter({ part: samplePart, parts });
  }
  return shareOfDay(parts, now);
}

function ignoreAbsent(error: unknown): undefined {
  if (!(error instanceof NotFoundError)) throw error;
}
