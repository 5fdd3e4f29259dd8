/**
 * What the audit log says was deleted for good: a backup that is gone without a record was taken away by somebody else.
 */
import { z } from 'zod';
import { forEachSideBySide } from '../../lib/concurrency.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { NotFoundError } from '../../storage/storage.ts';
import { openRecord } from '../keys/sealed-records.ts';
import type { Repository } from '../repository.ts';

/** "<id> <seal>" of one that was deleted. */
const deletedSchema = z.object({ id: z.string(), seal: z.string() }).transform(({ id, seal }) => `${id} ${seal}`);

/** Most of the time of reading one is waiting for the storage. */
const sideBySide = 16;

/**
 * "<id> <seal>" of every backup that one of these audit records (keys of objects) says was deleted; only records that
 * are authentic count.
 */
export async function readDeleted(repository: Repository, objects: Iterable<string>): Promise<Set<string>> {
  const deleted = new Set<string>();
  await forEachSideBySide(objects, sideBySide, async (object) => {
    for (const backup of await deletedBy(repository, object)) deleted.add(backup);
  });
  return deleted;
}

/**
 * The same of all records that were written since `sinceMs`: a backup is recorded as deleted only after it was written.
 */
export async function deletedSince(repository: Repository, sinceMs: number): Promise<Set<string>> {
  const objects: string[] = [];
  for await (const { key, modifiedMs } of repository.storage.list('audit/')) {
    if (modifiedMs >= sinceMs) objects.push(key);
  }
  return readDeleted(repository, objects);
}

async function deletedBy(repository: Repository, object: string): Promise<string[]> {
  try {
    const { members, authenticity } = await openRecord(
      await repository.storage.get(object),
      object,
      repository.keyring,
    );
    if (authenticity !== 'authentic' || !Array.isArray(members['deleted'])) return [];
    return members['deleted'].map((each) => deletedSchema.safeParse(each).data).flatMap((each) => each ?? []);
  } catch (error) {
    if (
      error instanceof NotFoundError ||
      (error instanceof LifeboatError && ['integrity', 'key'].includes(error.code))
    ) {
      return [];
    }
    throw error;
  }
}
