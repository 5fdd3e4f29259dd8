/** What `lifeboat cleanup` prints: a table of what stays and goes, and why. */
import { formatDuration } from '../lib/time.ts';
import { counted, formatBytes } from '../lib/units.ts';
import type { CleanupResult, CleanupWal } from '../operations/cleanup/request.ts';
import { shownTime } from './sizes.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';

export const cleanupView: View<CleanupResult> = {
  schema: 'lifeboat.cleanup/v1',
  kind: 'action',
  text: async (result) =>
    [
      await tableOf(result),
      ...result.wal.flatMap((each) => walLines(each, result.outcome === 'planned')),
      ...sums(result),
    ]
      .filter((part) => part !== '')
      .join('\n'),
};

async function tableOf({ outcome, backups }: CleanupResult): Promise<string> {
  if (backups.length === 0) return 'no backups';
  const goes = outcome === 'planned' ? 'would delete' : 'deleted';
  return columns(
    ['ID', 'TAKEN (UTC)', '', 'FREES', 'WHY'],
    backups.map(({ id, startedAt, keep, bytes, reasons }) => [
      id,
      shownTime(startedAt),
      keep ? 'keep' : goes,
      bytes === undefined ? '' : formatBytes(bytes),
      reasons.join('; '),
    ]),
    [3],
  );
}

function sums({ outcome, backups, deleted, freed, laterBytes, retained, graceMs, stopped }: CleanupResult): string[] {
  const would = outcome === 'planned';
  const going = backups.filter(({ keep }) => !keep).length;
  const lines: string[] = [];
  if (going > 0) {
    const moved = would ? 'would move' : 'moved';
    const back = `for ${formatDuration(graceMs)} they can be taken back with: lifeboat undelete <id>`;
    lines.push(`${counted(going, 'backup')} ${moved} to trash; ${back}`);
  } else lines.push(would ? 'no backup would be deleted' : 'no backup was deleted');
  if (deleted.length > 0) {
    const are = would ? 'would be' : isOrAre(deleted);
    lines.push(`${counted(deleted.length, 'backup')} in trash ${are} gone for good`);
  }
  if (stopped !== undefined) lines.push(stopped);
  else {
    const now = `${formatBytes(freed.bytes)} now (${counted(freed.packs, 'pack')})`;
    const later = `${formatBytes(laterBytes)} when what is in trash has passed its grace time`;
    lines.push(`${would ? 'would free' : 'freed'} ${now}, ${later}`);
  }
  return [...lines, ...retainedLines(retained)];
}

function retainedLines(retained: CleanupResult['retained']): string[] {
  if (retained.length === 0) return [];
  const [first] = retained.flatMap((each) => each.until ?? []).toSorted();
  const until = first === undefined ? '' : `, the first until ${shownTime(first)}`;
  const what = `${counted(retained.length, 'object')} that nobody needs ${isOrAre(retained)}`;
  return [`${what} retained by object lock${until}; a later cleanup removes them`];
}

function isOrAre({ length }: readonly unknown[]): string {
  return length === 1 ? 'is' : 'are';
}

/** What it means for the moments that can be recovered; nothing to say of a cluster of which nothing changes. */
function walLines(
  { systemId, targets, from, becomes, segments, bytes, laterSegments, laterBytes, stays }: CleanupWal,
  would: boolean,
): string[] {
  const of = targets.length === 0 ? '' : ` (${targets.join(', ')})`;
  const cluster = `cluster ${systemId}${of}`;
  if (stays !== undefined && from === becomes) return [`log of ${cluster} stays: ${stays}`];
  const since = (moment: string | undefined): string =>
    moment === undefined ? 'empty' : `from ${shownTime(wholeSecond(moment))}`;
  if (from === becomes && bytes === 0 && laterBytes === 0) return [];
  const change = `${since(from)} ${would ? 'would become' : 'becomes'} ${since(becomes)}`;
  const window = from === becomes ? `stays ${since(from)}` : change;
  const go = segments === 1 ? 'goes' : 'go';
  const now = `${counted(segments, 'segment')}, ${formatBytes(bytes)} ${would ? 'would go' : go} now`;
  const later = `${counted(laterSegments, 'segment')}, ${formatBytes(laterBytes)} with the base backups in trash`;
  const parts = laterBytes === 0 ? now : `${now}, ${later}`;
  return [`window of ${cluster}: ${window}; ${parts}${stays === undefined ? '' : `; all log stays: ${stays}`}`];
}

/** The first whole second that is not before it: what is shown must be possible. */
function wholeSecond(moment: string): string {
  const ms = Date.parse(moment);
  const isWhole = /:\d\d(?:\.0+)?(?:Z|[+-]\d\d:?\d\d)$/.test(moment);
  return new Date(isWhole ? ms : Math.floor(ms / 1000) * 1000 + 1000).toISOString();
}
