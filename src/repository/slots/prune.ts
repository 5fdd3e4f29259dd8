/** The records of slots that are too old to be kept. */
import { z } from 'zod';
import type { Repository } from '../repository.ts';
import { allSlotNames, readDocuments } from './documents.ts';

/** How many of the newest stay of each schedule; which ones count is looked at only where there are `slack` more. */
const limits = { kept: 400, slack: 40 };

/**
 * Removes what is older than the newest 400 records, and plans, of each schedule. Only what counts is counted and
 * removed, so that planted ones push none out. Returns the keys of what went. Throws what the storage throws.
 */
export async function pruneSlots(repository: Repository, { kept, slack } = limits): Promise<string[]> {
  const gone: string[] = [];
  for (const names of (await allSlotNames(repository)).values()) {
    for (const kind of ['record', 'plan'] as const) {
      const of = names.filter((name) => name.kind === kind);
      const [first] = of;
      if (first === undefined || of.length <= kept + slack) continue;
      const counting = await readDocuments(repository, first, of, z.object({}));
      gone.push(...counting.slice(0, -kept).map(({ object }) => object));
    }
  }
  await repository.storage.remove(gone);
  return gone;
}
