/** Keeps what a reader needs from being deleted under its hands. */
import type { RunContext } from '../lib/events.ts';
import { acquireReadLease } from '../repository/lease.ts';
import type { Repository } from '../repository/repository.ts';

/** A shared lease that names the backup; where we may not write, reading goes on without, with a warning. */
export async function pinned(repository: Repository, command: string, backupId: string, context: RunContext): Promise<AsyncDisposable> {
  const onWarning = (message: string): void => context.emit({ type: 'warning', message });
  const lease = await acquireReadLease(repository.storage, { command, parents: [backupId], signal: context.signal, onWarning });
  return lease ?? { [Symbol.asyncDispose]: async () => {} };
}
