/**
 * Object lock: which objects of a repository are retained, and until when. What belongs to a backup is
 * retained until one moment, reckoned when its run opened the storage; keys and write-ahead log from
 * when they are written. Leases, notes, evidence and audit records never are. See man lifeboat-repository(7),
 * "Object lock and versions".
 */
import type { ObjectLockConfig, RepositoryLocation } from '../config/config.ts';
import { LifeboatError } from '../lib/errors.ts';
import type { PutOptions, Storage } from '../storage/storage.ts';

const dayMs = 86_400_000;
const ofBackups = /^(packs|backups|manifests)\//;
/** An unfinished segment of write-ahead log is soon replaced by a longer one. */
const lasting = /^(keys\/|wal\/(?!.*\.[0-9A-F]{16}\.partial\.))/;

/**
 * The storage of a location whose new objects are retained as it is configured; the same storage where nothing is, or
 * where the bucket has no object lock (see requireObjectLock).
 */
export function retaining(storage: Storage, location: RepositoryLocation): Storage {
  const lock = objectLockOf(location);
  return lock === undefined || !storage.capabilities.objectLock ? storage : withRetention(storage, lock.days);
}

/** Throws LifeboatError `usage` where object lock is configured for a bucket that has none. */
export function requireObjectLock(storage: Storage, location: RepositoryLocation): void {
  if (objectLockOf(location) === undefined || storage.capabilities.objectLock) return;
  throw new LifeboatError('usage', `object lock is configured, but ${storage.location} is in a bucket without it`, {
    state: 'nothing was written',
    hint:
      'object lock is switched on when a bucket is made, and these credentials must be allowed to ask for it ' +
      '(GetBucketObjectLockConfiguration); or remove repository.objectLock',
  });
}

function objectLockOf(location: RepositoryLocation): ObjectLockConfig | undefined {
  return location.kind === 's3' ? location.objectLock : undefined;
}

function withRetention(storage: Storage, days: number): Storage {
  const until = (): number => Math.ceil((Date.now() + days * dayMs) / 1000) * 1000;
  const retention = { untilMs: until() };
  const retained = (key: string): Pick<PutOptions, 'retainUntilMs'> => {
    if (ofBackups.test(key)) return { retainUntilMs: retention.untilMs };
    return lasting.test(key) ? { retainUntilMs: until() } : {};
  };
  return {
    ...storage,
    retention,
    put: (key, parts, options) => storage.put(key, parts, { ...retained(key), ...options }),
  };
}
