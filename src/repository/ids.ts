/** Names of backups. A backup id sorts by time and is read by eye, but never parsed: what it seems to say stands in the manifest. */
import { randomBytes } from 'node:crypto';
import { compactUtc } from '../lib/time.ts';

export type BackupType = 'full' | 'database' | 'redis' | 'files' | 'base';

/** `20260102T030405Z-main-full-0a1b2c3d`. */
export function newBackupId(target: string, type: BackupType, now = new Date()): string {
  return `${compactUtc(now)}-${target}-${type}-${randomBytes(4).toString('hex')}`;
}

/** True for what newBackupId makes: safe as part of an object's key. */
export function isBackupId(text: string): boolean {
  return backupIdPattern.test(text);
}

export const backupIdPattern = /^\d{8}T\d{6}Z-[a-z0-9][a-z0-9-]{0,62}-[a-z]{1,16}-[0-9a-f]{8}$/;

/** Of `candidates` the ones most like `text`, best first: for "did you mean". */
export function nearestIds(text: string, candidates: readonly string[], count = 3): string[] {
  const scored = candidates.map((id) => ({ id, score: likeness(text, id) }));
  return scored.toSorted((a, b) => b.score - a.score || (a.id < b.id ? 1 : -1)).slice(0, count).map(({ id }) => id);
}

/** Length of what both begin with, then of what both end with: a slip in one place costs little. */
function likeness(a: string, b: string): number {
  let head = 0;
  while (head < a.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  return head + tail;
}
