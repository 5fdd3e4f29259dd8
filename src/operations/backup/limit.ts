/** At most so many backups into one repository at a time, over all hosts. */
import { LifeboatError } from '../../lib/errors.ts';
import type { Lease } from '../../repository/leases/lease.ts';
import { listLeases } from '../../repository/leases/record.ts';
import type { Storage } from '../../storage/storage.ts';

/**
 * Throws `locked` if with ours more run than that. Of two that begin at once both may retreat; neither would have been
 * wrong.
 */
export async function refuseTooMany(storage: Storage, own: Lease, limit: number): Promise<void> {
  const { leases } = await listLeases(storage);
  const running = leases.filter(
    (lease) => lease.status === 'live' && lease.id !== own.id && lease.scope.startsWith('backup-'),
  );
  if (running.length < limit) return;
  throw new LifeboatError(
    'locked',
    `${running.length} backups run already in this repository (${running.map(({ scope }) => scope).join(', ')}); ` +
      `at most ${limit} may`,
    {
      state: 'no backup was made',
      hint: 'wait for them, spread the schedules, or raise maxConcurrentBackups',
      retryable: true,
    },
  );
}
