/** What running work needs: all that the parents of its lease name, and every object younger than it. */
import type { Storage } from '../../storage/storage.ts';
import { markDeadLeases } from '../leases/break.ts';
import { listLeases, type ListedLease } from '../leases/record.ts';

export interface Pins {
  /** Objects stored at or after this moment stay, milliseconds since 1970; Infinity: nothing runs. */
  readonly sinceMs: number;
  /** Parents by id, with who pins them in words. */
  readonly parents: ReadonlyMap<string, string>;
}

/**
 * Marks the leases of dead runs (`act`), and says what the others pin. Without `act` nothing is written, and no
 * lease counts as too old: that takes the storage's time. `ownId`: our own lease, which pins nothing.
 */
export async function readPins(storage: Storage, ownId: string | undefined, act: boolean): Promise<Pins> {
  const live = act
    ? await markDeadLeases(storage, 'cleanup')
    : (await listLeases(storage)).leases.filter(({ status }) => status === 'live');
  let sinceMs = Infinity;
  const parents = new Map<string, string>();
  for (const lease of live) {
    if (lease.id === ownId) continue;
    // A receiver of write-ahead log runs for months, and all that it writes lasts by rules of its own.
    if (lease.record === undefined || !lease.scope.startsWith('wal-')) sinceMs = Math.min(sinceMs, sinceOf(lease));
    for (const id of lease.record?.parents ?? []) {
      parents.set(id, `"${lease.record?.command}" on ${lease.record?.host} (${lease.scope})`);
    }
  }
  return { sinceMs, parents };
}

/** One that cannot be read pins everything; one in its very first writing has no other stamp than that. */
function sinceOf({ record, renewedMs }: ListedLease): number {
  if (record === undefined) return -Infinity;
  return record.since === undefined ? renewedMs : Date.parse(record.since);
}
