/** What the audit log says was deleted for good: a backup that is gone without a record was taken away by somebody else. */
import { LifeboatError } from '../lib/errors.ts';
import { NotFoundError } from '../storage/storage.ts';
import { openRecord } from './documents.ts';
import type { Repository } from './repository.ts';

/** "<id> <seal>" of every backup that one of these audit records (keys of objects) says was deleted; only records that are authentic count. */
export async function readDeleted(repository: Repository, objects: Iterable<string>): Promise<Set<string>> {
  const deleted = new Set<string>();
  for (const object of objects) {
    try {
      const { members, authenticity } = await openRecord(await repository.storage.get(object), object, repository.keyring);
      if (authenticity !== 'authentic' || !Array.isArray(members['deleted'])) continue;
      for (const each of members['deleted'] as { id?: unknown; seal?: unknown }[]) deleted.add(`${String(each.id)} ${String(each.seal)}`);
    } catch (error) {
      if (error instanceof NotFoundError || (error instanceof LifeboatError && ['integrity', 'key'].includes(error.code))) continue;
      throw error;
    }
  }
  return deleted;
}
