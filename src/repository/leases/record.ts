/**
 * Leases as they lie in the repository (`locks/<scope>/<id>.json`) and what can be told of them: live,
 * gone (its process is proven dead), stale (not renewed), broken (marked by somebody who passed over it).
 * Ages are differences of the storage's own stamps: the clocks of two hosts are never compared.
 */
import { z } from 'zod';
import { LifeboatError } from '../../lib/errors.ts';
import { parseJson } from '../../lib/json.ts';
import { AlreadyExistsError, NotFoundError, type ObjectInfo, type Storage } from '../../storage/storage.ts';
import { isGone, ownIdentity } from '../../lib/process-identity.ts';

const recordSchema = z.object({
  id: z.string(),
  scope: z.string(),
  command: z.string(),
  host: z.string(),
  bootId: z.string(),
  pidNamespace: z.string(),
  pid: z.int(),
  processStart: z.string(),
  user: z.string(),
  /** The storage's stamp of its first writing, RFC 3339; absent in that very first writing. */
  since: z.iso.datetime().optional(),
  /** Ids of backups that it pins. */
  parents: z.array(z.string()),
});

export type LeaseRecord = z.infer<typeof recordSchema>;

/**
 * - backup-<target>, restore-<target>, emergency-<target>, wal-<systemId>, slot-<hash>, cleanup, keys, repository: one
 *   holder at a time
 * - read: any number
 */
export type LeaseScope =
  | `backup-${string}`
  | `restore-${string}`
  | `emergency-${string}`
  | `wal-${string}`
  | `slot-${string}`
  | 'cleanup'
  | 'keys'
  | 'repository'
  | 'read';

/** Not renewed for so long, a lease no longer holds. */
export const staleAfterMs = 30 * 60_000;

/** Far more than a lease with hundreds of parents has. */
const maxLeaseBytes = 1024 * 1024;

/** How long a `.broken` mark stays: longer than any suspended holder should sleep. */
export const keepMarksMs = 30 * 86_400_000;

export interface ListedLease {
  readonly id: string;
  readonly scope: string;
  readonly object: string;
  /** The storage's stamp of the last renewal, milliseconds since 1970. */
  readonly renewedMs: number;
  /** 'live' also where it could not be told otherwise. */
  readonly status: 'live' | 'gone' | 'stale' | 'broken';
  /** Undefined when it cannot be parsed. */
  readonly record: LeaseRecord | undefined;
}

export interface LeaseListing {
  readonly leases: readonly ListedLease[];
  /** `.broken` marks. */
  readonly marks: readonly ObjectInfo[];
}

/**
 * The leases of one scope (or of all). `nowMs` gives the storage's present stamp from the listing itself,
 * if it can: without it nothing is called stale for its age.
 */
export async function listLeases(
  storage: Storage,
  scope?: string,
  nowMs?: (objects: readonly ObjectInfo[]) => number | undefined,
): Promise<LeaseListing> {
  const objects: ObjectInfo[] = [];
  for await (const info of storage.list(scope === undefined ? 'locks/' : `locks/${scope}/`)) objects.push(info);
  const now = nowMs?.(objects);
  const marks = objects.filter(({ key }) => key.endsWith('.broken'));
  const marked = new Set(marks.map(({ key }) => key.slice(0, -'.broken'.length)));
  const own = ownIdentity();
  const leases: ListedLease[] = [];
  for (const info of objects) {
    const name = /^locks\/([^/]+)\/([^/]+)\.json$/.exec(info.key);
    if (name === null) continue;
    const record = await readRecord(storage, info.key);
    if (record === 'absent') continue;
    let status: ListedLease['status'] = 'live';
    if (marked.has(info.key.slice(0, -'.json'.length))) status = 'broken';
    else if (record !== undefined && isGone(record, own)) {
      // It may have ended well since we listed, and taken its lease away.
      if (!(await exists(storage, info.key))) continue;
      status = 'gone';
    } else if (now !== undefined && now - info.modifiedMs > staleAfterMs) status = 'stale';
    leases.push({
      scope: name[1] ?? '',
      id: name[2] ?? '',
      object: info.key,
      renewedMs: info.modifiedMs,
      status,
      record,
    });
  }
  return { leases, marks };
}

/**
 * Marks a lease so that its holder stops, whatever it renews; then takes it away. To be done before passing over it.
 */
export async function markBroken(storage: Storage, lease: ListedLease, by: string): Promise<void> {
  const { host, pid, user } = ownIdentity();
  const mark = { id: lease.id, scope: lease.scope, was: lease.status, by: { command: by, host, pid, user } };
  try {
    await storage.put(`locks/${lease.scope}/${lease.id}.broken`, [
      Buffer.from(`${JSON.stringify(mark, undefined, 2)}\n`),
    ]);
  } catch (error) {
    if (!(error instanceof AlreadyExistsError)) throw error;
  }
  await storage.remove([lease.object]);
}

/** "locked", with all that is known of the holder. */
export function lockedError(lease: ListedLease): LifeboatError {
  const { record } = lease;
  const holder =
    record === undefined
      ? 'a lease that cannot be read'
      : `"${record.command}" of ${record.user}@${record.host} (pid ` +
        `${record.pid}${record.since === undefined ? '' : `, since ${record.since}`})`;
  return new LifeboatError('locked', `${lease.scope} is locked by ${holder}`, {
    state: 'nothing was changed',
    hint: `wait for it (--if-running=wait=5m), or, if it is surely dead: lifeboat unlock ${lease.scope} --alive`,
    retryable: true,
    facts: {
      lease: { ...record, id: lease.id, scope: lease.scope, renewedAt: new Date(lease.renewedMs).toISOString() },
    },
  });
}

async function readRecord(storage: Storage, object: string): Promise<LeaseRecord | 'absent' | undefined> {
  try {
    return parseLease(await storage.get(object));
  } catch (error) {
    if (error instanceof NotFoundError) return 'absent';
    throw error;
  }
}

/** Undefined for what is no lease. */
export function parseLease(bytes: Buffer): LeaseRecord | undefined {
  if (bytes.length > maxLeaseBytes) return undefined;
  try {
    const parsed = recordSchema.safeParse(parseJson(bytes.toString()));
    return parsed.success ? parsed.data : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function exists(storage: Storage, object: string): Promise<boolean> {
  try {
    await storage.stat(object);
    return true;
  } catch (error) {
    if (error instanceof NotFoundError) return false;
    throw error;
  }
}
