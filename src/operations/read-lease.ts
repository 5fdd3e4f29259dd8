/** Leases of work that only reads the repository: what it needs must not be deleted under its hands. */
import { messageOf } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import { acquireLease } from '../repository/leases/lease.ts';
import type { LeaseScope } from '../repository/leases/lease-record.ts';
import type { Repository } from '../repository/repository.ts';
import { isDenied } from '../storage/storage.ts';

export interface Pin {
  readonly scope: LeaseScope;
  readonly command: string;
  readonly backupId: string;
}

/**
 * A lease that names the backup. Where we may not write, reading goes on without it, with a warning; `locked` (11) is
 * thrown.
 */
export async function pinned(
  { storage }: Repository,
  { scope, command, backupId }: Pin,
  context: RunContext,
): Promise<AsyncDisposable> {
  try {
    return await acquireLease(storage, { scope, command, parents: [backupId], signal: context.signal });
  } catch (error) {
    if (!isDenied(error)) throw error;
    context.emit({
      type: 'warning',
      message: `going on without a lease, so that a cleanup elsewhere may delete what is being read: ${messageOf(error)}`,
    });
    return { [Symbol.asyncDispose]: async () => {} };
  }
}
