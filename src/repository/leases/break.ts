/** Removing the lease of a dead run, for `unlock`. A live one only by force. */
import { LifeboatError } from '../../lib/errors.ts';
import type { Storage } from '../../storage/storage.ts';
import { acquireLease } from './acquire.ts';
import { keepMarksMs, listLeases, lockedError, markBroken, type ListedLease } from './record.ts';

/**
 * All leases, with the storage's own time to tell the stale ones: takes (and gives back) a shared lease to learn it.
 */
export async function judgedLeases(storage: Storage, command: string): Promise<ListedLease[]> {
  await using clock = await acquireLease(storage, { scope: 'read', command });
  const { leases } = await listLeases(storage, undefined, () => clock.sinceMs);
  return leases.filter(({ id }) => id !== clock.id);
}

/**
 * Breaks the lease with that id (or unique beginning of one): its holder stops at its next look. Throws
 * LifeboatError `not_found`, `usage` for an ambiguous beginning, `locked` for a live one without `force`.
 */
export async function breakLease(
  storage: Storage,
  id: string,
  options: { readonly force?: boolean } = {},
): Promise<ListedLease> {
  const leases = await judgedLeases(storage, 'unlock');
  const fitting = id === '' ? [] : leases.filter((each) => each.id.startsWith(id));
  const [lease, other] = fitting;
  if (lease === undefined) {
    throw new LifeboatError('not_found', `there is no lease "${id}" in ${storage.location}`, {
      state: 'nothing was changed',
      hint:
        leases.length === 0
          ? 'nothing is locked'
          : `there are: ${leases.map((each) => `${each.id} (${each.scope})`).join(', ')}`,
    });
  }
  if (other !== undefined) {
    throw new LifeboatError(
      'usage',
      `"${id}" begins the ids of ${fitting.length} leases: ${fitting.map((each) => each.id).join(', ')}`,
      { hint: 'give more of the id' },
    );
  }
  if (lease.status === 'live' && options.force !== true) throw stillLive(lease);
  await markBroken(storage, lease, 'unlock');
  return lease;
}

function stillLive(lease: ListedLease): LifeboatError {
  const locked = lockedError(lease);
  const breaking = `lifeboat unlock ${lease.scope} --alive`;
  return new LifeboatError('locked', `${locked.message}: it may well be alive`, {
    state: 'nothing was changed',
    hint: `it counts as dead 30 minutes after its last renewal; to break it before: ${breaking}`,
    facts: locked.facts,
  });
}

/**
 * Marks every lease whose holder is gone or stale and removes marks that are over their time; returns the ones that
 * live. For cleanup, which must not pass over any other.
 */
export async function markDeadLeases(storage: Storage, command: string): Promise<ListedLease[]> {
  await using clock = await acquireLease(storage, { scope: 'read', command });
  const { leases, marks } = await listLeases(storage, undefined, () => clock.sinceMs);
  for (const lease of leases) {
    if (lease.status === 'gone' || lease.status === 'stale') await markBroken(storage, lease, command);
  }
  const old = marks.filter(({ modifiedMs }) => modifiedMs < clock.sinceMs - keepMarksMs).map(({ key }) => key);
  if (old.length > 0) await storage.remove(old);
  return leases.filter(({ status, id }) => status === 'live' && id !== clock.id);
}
