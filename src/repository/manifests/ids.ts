/**
 * Names of backups. A backup id sorts by time and is read by eye, but never parsed: what it seems to say stands in the
 * manifest.
 */
import { randomBytes } from 'node:crypto';
import { compactUtc, expandUtc } from '../../lib/time.ts';

export type BackupType = 'full' | 'database' | 'redis' | 'files' | 'base';

/** The second of the newest id that this process has made for the present time, milliseconds since 1970. */
let newestMs = 0;

/**
 * `20260102T030405Z-main-full-0a1b2c3d`. Ids shall sort as backups were taken, also within one second: an
 * id for the present time is at least one second after the last one made here, and after `previousId`
 * (the target's newest) where that is hardly older.
 */
export function newBackupId(target: string, type: BackupType, now = new Date(), previousId?: string): string {
  const second = Math.floor(now.getTime() / 1000) * 1000;
  if (Math.abs(Date.now() - second) > presentMs) return idOf(now, target, type);
  const previousMs = previousId === undefined ? 0 : secondOf(previousId);
  const isNear = previousMs >= second && previousMs < second + presentMs;
  newestMs = Math.max(second, newestMs < second + presentMs ? newestMs + 1000 : 0, isNear ? previousMs + 1000 : 0);
  return idOf(new Date(newestMs), target, type);
}

/** Clocks that differ by more are not made up for. */
const presentMs = 60_000;

function idOf(time: Date, target: string, type: BackupType): string {
  return `${compactUtc(time)}-${target}-${type}-${randomBytes(4).toString('hex')}`;
}

function secondOf(id: string): number {
  return Date.parse(expandUtc(id));
}

/** True for what newBackupId makes: safe as part of an object's key. */
export function isBackupId(text: string): boolean {
  return backupIdPattern.test(text);
}

export const backupIdPattern = /^\d{8}T\d{6}Z-[a-z0-9][a-z0-9-]{0,62}-[a-z]{1,16}-[0-9a-f]{8}$/;

/**
 * False if the id says that the backup is of another target, or of other components than all of `kinds`. Only where its
 * manifest is damaged, and the name is all that is left of it.
 */
export function seemsToBe(id: string, target: string | undefined, kinds: readonly string[] = []): boolean {
  const [, ofTarget, type = ''] = /^\d{8}T\d{6}Z-([a-z0-9-]+)-([a-z]{1,16})-[0-9a-f]{8}$/.exec(id) ?? [];
  if (target !== undefined && target !== ofTarget) return false;
  return type === 'full' || kinds.every((kind) => (kind === 'postgres' ? 'database' : kind) === type);
}

/** Of `candidates` the ones most like `text`, best first: for "did you mean". */
export function nearestIds(text: string, candidates: readonly string[], count = 3): string[] {
  const scored = candidates.map((id) => ({ id, score: likeness(text, id) }));
  return scored
    .toSorted((a, b) => b.score - a.score || (a.id < b.id ? 1 : -1))
    .slice(0, count)
    .map(({ id }) => id);
}

/** Length of what both begin with, then of what both end with: a slip in one place costs little. */
function likeness(a: string, b: string): number {
  let head = 0;
  while (head < a.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  return head + tail;
}
