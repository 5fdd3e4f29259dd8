/**
 * Takes over what lies in trash without a record that counts: moved there by an older version, by a host whose state is
 * gone, or by an intruder, which only an operator can tell apart. Its grace time begins now.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { findUnexplainedTrash, type HiddenManifest } from '../../repository/deletion/hidden-manifests.ts';
import { TrashRecords, writeTrashRecord } from '../../repository/deletion/trash-records.ts';
import type { Lease } from '../../repository/leases/lease.ts';
import type { Repository } from '../../repository/repository.ts';

/** Instead of ids: everything there. */
export const adoptAll = 'all';

/**
 * `wanted`: full ids, or "all"; under the `cleanup` lease. Throws `not_found` or `integrity`, and nothing is adopted
 * then.
 */
export async function adoptTrash(
  repository: Repository,
  wanted: readonly string[],
  lease: Lease,
  { emit }: Pick<RunContext, 'emit'>,
): Promise<void> {
  if (wanted.length === 0) return;
  const found = await findUnexplainedTrash(repository);
  const chosen = wanted.includes(adoptAll) ? found : wanted.map((id) => choose(id, found));
  const unusable = chosen.find(({ listed }) => listed.trust !== 'sealed');
  if (unusable !== undefined) throw cannotAdopt(unusable);
  const records = await TrashRecords.list(repository);
  for (const { id, listed } of chosen) {
    await lease.check();
    const useless = await records.useless(id);
    await (repository.storage.removeVersions?.(useless) ?? repository.storage.remove(useless));
    await writeTrashRecord(repository, { id, seal: listed.seal, dataKey: listed.manifest?.dataKey }, 'moved');
    emit({ type: 'step', message: `backup ${id} in trash is adopted: its grace time begins now` });
  }
}

function choose(id: string, found: readonly HiddenManifest[]): HiddenManifest {
  const chosen = found.find((each) => each.id === id);
  if (chosen !== undefined) return chosen;
  throw new LifeboatError('not_found', `there is no backup ${id} in trash that is to be adopted`, {
    state: 'nothing was changed',
    hint: found.length === 0 ? 'there is none at all' : `there are: ${found.map((each) => each.id).join(', ')}`,
  });
}

function cannotAdopt({ listed: { object, trust, reason = 'its seal does not hold' } }: HiddenManifest): LifeboatError {
  return new LifeboatError('integrity', `${object} cannot be adopted: it is ${trust}: ${reason}`, {
    state: 'nothing was changed',
    hint: 'somebody put it there: look at it, and remove it by hand if nothing needs it',
  });
}
