/**
 * Leases: they keep work apart that must not run side by side, and pin what running work reads. Built
 * from plain PUT, LIST and DELETE, since conditional writes cannot be relied on: write ours, list, and
 * who sees any other live one retreats. Protocol: man lifeboat-repository(7), "Leases".
 */
import { randomBytes, randomInt } from 'node:crypto';
import { uptime } from 'node:os';
import { LifeboatError } from '../../lib/errors.ts';
import { ownIdentity } from '../../lib/process-identity.ts';
import { pause } from '../../lib/pause.ts';
import { StorageError, type Storage } from '../../storage/storage.ts';
import { encodeRecord, lastAct, Lease, leaseObject, type LeaseTimes } from './lease.ts';
import { keepMarksMs, listLeases, lockedError, markBroken, type LeaseScope, type ListedLease } from './record.ts';

export interface LeaseOptions {
  /** `read` is shared; all others have one holder at a time. */
  readonly scope: LeaseScope;
  /** What an operator called, for the others' "locked" message; no secrets. */
  readonly command: string;
  /** Ids of backups whose packs, indexes and WAL must stay while we work. */
  readonly parents?: readonly string[] | undefined;
  /** Ends waiting. */
  readonly signal?: AbortSignal | undefined;
  /** Told once when the lease is lost while held: stop the work with this error. */
  readonly onLost?: ((error: LifeboatError) => void) | undefined;
  /** How long to wait for a holder to finish, in milliseconds; default 0: LifeboatError `locked` at once. */
  readonly waitMs?: number | undefined;
  /** For tests. */
  readonly times?: Partial<LeaseTimes> | undefined;
}

const defaultTimes: LeaseTimes = {
  renewMs: 2 * 60_000,
  tickMs: 30_000,
  lostAfterMs: 20 * 60_000,
  backOffMs: [1000, 10_000],
  pollMs: 5000,
  // Node's monotonic clock stops while the machine is suspended; the uptime does not.
  clock: () => uptime() * 1000,
};

const attempts = 5;

/**
 * Takes a lease; `await using` gives it back. Throws LifeboatError `locked` with all fields of the holder
 * in `facts.lease` when somebody else has it and `waitMs` is over.
 */
export async function acquireLease(storage: Storage, options: LeaseOptions): Promise<Lease> {
  const times = { ...defaultTimes, ...options.times };
  const giveUpAt = times.clock() + (options.waitMs ?? 0);
  for (;;) {
    try {
      return await acquireNow(storage, options, times);
    } catch (error) {
      const leftMs = giveUpAt - times.clock();
      if (!(error instanceof LifeboatError && error.code === 'locked') || leftMs <= 0) throw error;
      await pause(Math.min(times.pollMs, leftMs), options.signal);
    }
  }
}

async function acquireNow(storage: Storage, options: LeaseOptions, times: LeaseTimes): Promise<Lease> {
  for (let attempt = 1; ; attempt++) {
    const before = options.scope === 'read' ? [] : (await listLeases(storage, options.scope)).leases;
    const lease = await writeLease(storage, options, times);
    try {
      const rivals = await liveRivals(storage, lease, options);
      const rival = rivals[0];
      if (rival === undefined) return lease;
      const holder = rivals.find(({ id }) => before.some((each) => each.id === id));
      if (holder !== undefined || attempt === attempts) throw lockedError(holder ?? rival);
    } catch (error) {
      await lease[Symbol.asyncDispose]();
      throw error;
    }
    await lease[Symbol.asyncDispose]();
    await pause(randomInt(times.backOffMs[0], times.backOffMs[1] + 1), options.signal);
  }
}

async function writeLease(storage: Storage, options: LeaseOptions, times: LeaseTimes): Promise<Lease> {
  const first = {
    id: randomBytes(8).toString('hex'),
    scope: options.scope,
    command: options.command,
    ...ownIdentity(),
  };
  const object = leaseObject(first);
  const parents = [...(options.parents ?? [])];
  try {
    await storage.put(object, [encodeRecord({ ...first, parents })], { randomName: true });
    const sinceMs = (await storage.stat(object)).modifiedMs;
    const record = { ...first, since: new Date(sinceMs).toISOString(), parents };
    const renewedAt = times.clock();
    await storage.put(object, [encodeRecord(record)], { replace: true });
    return new Lease(storage, record, sinceMs, times, renewedAt, options.onLost);
  } catch (error) {
    await storage.remove([object], lastAct).catch(() => {});
    throw error;
  }
}

/**
 * Lists once more, now that ours is there and tells the storage's time; marks what does not live; clears away old
 * marks.
 */
async function liveRivals(storage: Storage, lease: Lease, options: LeaseOptions): Promise<ListedLease[]> {
  if (options.scope === 'read') return [];
  const own = `locks/${lease.scope}/${lease.id}.json`;
  let nowMs: number | undefined;
  const { leases, marks } = await listLeases(
    storage,
    lease.scope,
    (objects) => (nowMs = objects.find(({ key }) => key === own)?.modifiedMs),
  );
  if (nowMs === undefined) {
    throw new StorageError(`the lease just written does not show in the listing of ${storage.location}`, {
      hint: 'only one host may write to such a storage; lifeboat doctor tests it',
      retryable: true,
    });
  }
  const live: ListedLease[] = [];
  for (const each of leases) {
    if (each.id === lease.id || each.status === 'broken') continue;
    if (each.status === 'live') live.push(each);
    else await markBroken(storage, each, options.command);
  }
  const oldestKept = nowMs - keepMarksMs;
  const old = marks.filter(({ modifiedMs }) => modifiedMs < oldestKept).map(({ key }) => key);
  if (old.length > 0) await storage.remove(old);
  return live;
}
