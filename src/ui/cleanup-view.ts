/** What `lifeboat cleanup` prints: a table of what stays and goes, and why. */
import { formatDuration } from '../lib/time.ts';
import { formatBytes } from '../lib/units.ts';
import type { CleanupResult } from '../operations/requests.ts';
import { counted, shownTime } from './sizes.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';

export const cleanupView: View<CleanupResult> = {
  schema: 'lifeboat.cleanup/v1',
  kind: 'action',
  text: async (result) => [await tableOf(result), ...sums(result)].filter((part) => part !== '').join('\n'),
};

async function tableOf({ outcome, backups }: CleanupResult): Promise<string> {
  if (backups.length === 0) return 'no backups';
  const goes = outcome === 'planned' ? 'would delete' : 'deleted';
  return columns(
    ['ID', 'TAKEN (UTC)', '', 'FREES', 'WHY'],
    backups.map(({ id, startedAt, keep, bytes, reasons }) => [id, shownTime(startedAt), keep ? 'keep' : goes, bytes === undefined ? '' : formatBytes(bytes), reasons.join('; ')]),
    [3],
  );
}

function sums({ outcome, backups, deleted, freed, laterBytes, retained, graceMs, stopped }: CleanupResult): string[] {
  const would = outcome === 'planned';
  const going = backups.filter(({ keep }) => !keep).length;
  const lines: string[] = [];
  if (going > 0) lines.push(`${counted(going, 'backup')} ${would ? 'would move' : 'moved'} to trash; for ${formatDuration(graceMs)} they can be taken back with: lifeboat undelete <id>`);
  else lines.push(would ? 'no backup would be deleted' : 'no backup was deleted');
  if (deleted.length > 0) lines.push(`${counted(deleted.length, 'backup')} in trash ${would ? 'would be' : deleted.length === 1 ? 'is' : 'are'} gone for good`);
  if (stopped !== undefined) lines.push(stopped);
  else lines.push(`${would ? 'would free' : 'freed'} ${formatBytes(freed.bytes)} now (${counted(freed.packs, 'pack')}), ${formatBytes(laterBytes)} when what is in trash has passed its grace time`);
  const until = retained.flatMap((each) => each.until ?? []).toSorted()[0];
  if (retained.length > 0) lines.push(`${counted(retained.length, 'object')} that nobody needs ${retained.length === 1 ? 'is' : 'are'} retained by object lock${until === undefined ? '' : `, the first until ${shownTime(until)}`}; a later cleanup removes them`);
  return lines;
}
