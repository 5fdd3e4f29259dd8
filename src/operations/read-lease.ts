/** Leases of work that only reads the repository: what it needs must not be deleted while it reads. */
import { messageOf } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import { type Lease } from '../repository/leases/lease.ts';
import { acquireLease, type LeaseOptions } from '../repository/leases/acquire.ts';
import type { LeaseScope } from '../repository/leases/record.ts';
import type { Repository } from '../repository/repository.ts';
import { isDenied } from '../storage/storage.ts';

export interface ReadLeaseOptions extends Pick<LeaseOptions, 'command' | 'onLost'> {
  /** Default: `read`, which is shared; a restore has one that only it holds. */
  readonly scope?: LeaseScope | undefined;
  /** Ids of the backups whose packs, indexes and WAL must stay. */
  readonly parents: readonly string[];
}

/**
 * A lease that names what is read; `await using` gives it back. Who may not write to the storage goes on without
 * (undefined), with a warning. Throws LifeboatError `locked` (11) where somebody else holds that scope.
 */
export async function acquireReadLease(
  { storage }: Pick<Repository, 'storage'>,
  { scope = 'read', ...options }: ReadLeaseOptions,
  { signal, emit }: RunContext,
): Promise<Lease | undefined> {
  try {
    return await acquireLease(storage, { ...options, scope, signal });
  } catch (error) {
    if (!isDenied(error)) throw error;
    const danger = 'so that a cleanup elsewhere may delete what is being read';
    emit({ type: 'warning', message: `going on without a lease, ${danger}: ${messageOf(error)}` });
    return undefined;
  }
}
