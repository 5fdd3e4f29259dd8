/**
 * What `lifeboat doctor` checks of the storage below a repository: that it keeps what leases rest on, its clock, dead
 * leases, traits of a bucket.
 */
import { randomBytes } from 'node:crypto';
import type { RepositoryLocation, S3Location } from '../../config/config.ts';
import type { RunContext } from '../../lib/events.ts';
import { formatDuration } from '../../lib/time.ts';
import { listLeases, type ListedLease } from '../../repository/leases/record.ts';
import { requireObjectLock } from '../../repository/retained-storage.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { ObjectInfo, Storage } from '../../storage/storage.ts';
import { attempt, failedBy, passed, warned } from './check.ts';
import { clockDifference, judgeClock } from './clock.ts';
import type { DoctorCheck } from './request.ts';

export async function checkStorage(
  storage: Storage,
  location: RepositoryLocation,
  context: RunContext,
): Promise<readonly DoctorCheck[]> {
  let stampMs: number | undefined;
  const written = await attempt('repository writing', context, async () => {
    const trial = await tryObject(storage);
    stampMs = trial.nowMs;
    return judgeTrial(trial);
  });
  return [
    ...written,
    ...(await attempt('repository leases', context, async () => checkLeases(await leasesOf(storage, stampMs)))),
    ...checkBucket(storage, location),
    ...checkServer(storage, location),
  ];
}

/** Trial objects of runs that were killed are removed by a later one once they are so old. */
const abandonedMs = 3_600_000;
const folder = 'locks/doctor/';

interface Trial {
  /** What leases rest on and this storage does not keep. */
  readonly faults: readonly string[];
  /** By the storage's clock. */
  readonly nowMs: number;
  /** Of its clock to ours. */
  readonly differenceMs: number;
}

/**
 * Writes a small object where leases lie, finds it, reads it, removes it and misses it. Throws where that cannot be
 * done at all.
 */
async function tryObject(storage: Storage): Promise<Trial> {
  const key = `${folder}${randomBytes(8).toString('hex')}`;
  const content = randomBytes(64);
  const faults: string[] = [];
  try {
    await storage.put(key, [content]);
    const listed = await trials(storage);
    if (!holds(listed, key)) faults.push('an object just written does not show in the next listing');
    // Measured on a second writing: the first one may have had to open a connection.
    const differenceMs = await clockDifference(async () => {
      await storage.put(key, [content], { replace: true });
      return (await storage.stat(key)).modifiedMs;
    }, 1000);
    const { modifiedMs: nowMs } = await storage.stat(key);
    await compareContent(storage, key, content);
    const old = listed.filter((each) => each.modifiedMs < nowMs - abandonedMs).map((each) => each.key);
    await storage.remove([key, ...old]);
    if (holds(await trials(storage), key)) faults.push('an object just removed still shows in the next listing');
    return { faults, nowMs, differenceMs };
  } catch (error) {
    await storage.remove([key], { afterAbort: true, budgetMs: 1000 }).catch(() => {});
    throw error;
  }
}

/** Throws `integrity` unless the storage gives back what it was given, whole and by range. */
async function compareContent(storage: Storage, key: string, content: Buffer): Promise<void> {
  if (!content.equals(await storage.get(key))) {
    throw new LifeboatError('integrity', `${storage.location} gives back other bytes than were written`, {
      hint: 'do not trust this storage; see whether something between it and this host changes data',
    });
  }
  if (!content.subarray(16, 48).equals(await storage.get(key, { start: 16, end: 48 }))) {
    throw new LifeboatError('integrity', `${storage.location} gives back another range than was asked for`, {
      hint: 'do not trust this storage',
    });
  }
}

function judgeTrial({ faults, differenceMs }: Trial): DoctorCheck[] {
  const name = 'repository writing';
  const hint = 'leases cannot keep several hosts apart there: let only one host write to this repository';
  return [
    faults.length === 0
      ? passed(name, 'an object was written, listed, read and removed')
      : warned(name, faults.join('; '), hint),
    judgeClock('repository clock', 'the storage', differenceMs),
  ];
}

function holds(listed: readonly ObjectInfo[], key: string): boolean {
  return listed.some((each) => each.key === key);
}

async function trials(storage: Storage): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const info of storage.list(folder)) found.push(info);
  return found;
}

async function leasesOf(storage: Storage, nowMs: number | undefined): Promise<readonly ListedLease[]> {
  return (await listLeases(storage, undefined, () => nowMs)).leases;
}

function checkLeases(leases: readonly ListedLease[]): DoctorCheck {
  const name = 'repository leases';
  const dead = leases.filter(({ status }) => status === 'gone' || status === 'stale');
  if (dead.length > 0) {
    return warned(
      name,
      `left by runs that are dead: ${dead.map(described).join(', ')}`,
      'lifeboat unlock removes them; the next run ignores them anyway',
    );
  }
  const live = leases.filter(({ status }) => status === 'live');
  return passed(name, live.length === 0 ? 'nothing is locked' : `running now: ${live.map(described).join(', ')}`);
}

function described({ scope, record, renewedMs }: ListedLease): string {
  if (record === undefined) return scope;
  const sinceMs = Date.now() - (record.since === undefined ? renewedMs : Date.parse(record.since));
  const age = formatDuration(Math.max(0, sinceMs));
  return `${scope} (${record.command} on ${record.host}, pid ${record.pid}, for ${age})`;
}

/** Not faults by themselves, but whoever keeps a bucket should know them. */
function checkBucket(storage: Storage, configured: RepositoryLocation): DoctorCheck[] {
  if (configured.kind !== 's3') return [];
  const name = 'repository bucket';
  const { versions, objectLock, defaultRetention } = storage.capabilities;
  try {
    requireObjectLock(storage, configured);
  } catch (error) {
    return [failedBy(name, error)];
  }
  if (defaultRetention !== undefined) {
    return [
      warned(
        name,
        `the bucket retains every object (${defaultRetention}), leases and other short-lived ones included`,
        "remove the bucket's default retention: retention is set on each object that needs it",
      ),
    ];
  }
  const traits = [
    objectLock ? `object lock is on${retained(configured)}` : 'no object lock',
    versions
      ? 'versions are kept: what is deleted takes space until a lifecycle rule ends its old versions'
      : 'no versions are kept',
  ];
  return [passed(name, traits.join('; '))];
}

/** What a server cannot do beyond the protocol, and what follows. */
function checkServer({ capabilities }: Storage, { kind }: RepositoryLocation): DoctorCheck[] {
  if (kind !== 'sftp') return [];
  const name = 'repository server';
  const { missing = [] } = capabilities;
  if (missing.length === 0) return [passed(name, 'files are synced, named in one step, and given second names')];
  return [warned(name, missing.join('; '), 'a server with the extensions of OpenSSH does better')];
}

function retained({ objectLock }: S3Location): string {
  return objectLock === undefined
    ? ', but backups are not retained (repository.objectLock)'
    : `, backups are retained for ${objectLock.days} days (${objectLock.mode})`;
}
