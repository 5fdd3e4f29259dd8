/**
 * Which packs a sample reads: packs fall into parts by a hash of their id, and each run takes the next
 * part, so that all have been read after as many runs as there are parts. What was taken last stands in
 * the newest evidence of a sample; without any the date decides.
 */
import { sha256 } from '../../repository/box/crypto.ts';
import { allEvidenceNames, readEvidence } from '../../repository/backups/evidence.ts';
import { isAheadOfClocks } from '../../repository/clocks.ts';
import type { Repository } from '../../repository/repository.ts';
import { NotFoundError } from '../../storage/storage.ts';

export interface Sample {
  /** From 1. */
  readonly part: number;
  readonly parts: number;
}

/** So many pieces of evidence are tried, newest first: more than one only where some do not count. */
const maxTried = 20;

/** The part to read now, whichever backups are checked. `percent` over 0 to 100. */
export async function nextSample(repository: Repository, percent: number, now = Date.now()): Promise<Sample> {
  const parts = Math.max(1, Math.ceil(100 / percent - 1e-9));
  const names = [...(await allEvidenceNames(repository)).values()].flat().filter(({ level }) => level === 'sample');
  const past = names.filter(({ at }) => !isAheadOfClocks(at, now));
  for (const name of past.toSorted((a, b) => (a.at < b.at ? 1 : -1)).slice(0, maxTried)) {
    const backup = await repository.readManifest(name.backupId).catch(ignoreAbsent);
    if (backup?.trust !== 'sealed') continue;
    const { evidence } = await readEvidence(repository, backup, name);
    const { samplePart, sampleParts } = evidence?.counts ?? {};
    // Another share than last time: its parts are others, so any will do.
    if (samplePart !== undefined && sampleParts === parts) return { part: (samplePart % parts) + 1, parts };
  }
  return { part: (Math.floor(now / 86_400_000) % parts) + 1, parts };
}

function ignoreAbsent(error: unknown): undefined {
  if (!(error instanceof NotFoundError)) throw error;
}

/** Whether a pack belongs to the part. Pack ids are random, but an attacker's need not be: hence the hash. */
export function isInSample(packId: Buffer, { part, parts }: Sample): boolean {
  return sha256(packId).readUInt32LE(0) % parts === part - 1;
}
