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
    lines.push(
      `${counted(going, 'backup')} ${would ? 'would move' : 'moved'} to trash; for ${formatDuration(graceMs)} ` +
        'they can be taken back with: lifeboat undelete <id>',
    );
  } else lines.push(would ? 'no backup would be deleted' : 'no backup was deleted');
  if (deleted.length > 0) {
    lines.push(
      `${counted(deleted.length, 'backup')} in trash ${would ? 'would be' : deleted.length === 1 ? 'is' : 'are'} ` +
        'gone for good',
    );
  }
  if (stopped !== undefined) lines.push(stopped);
  else {
    lines.push(
      `${would ? 'would free' : 'freed'} ${formatBytes(freed.bytes)} now (${counted(freed.packs, 'pack')}), ` +
        `${formatBytes(laterBytes)} when what is in trash has passed its grace time`,
    );
  }
  const until = retained.flatMap((each) => each.until ?? []).toSorted()[0];
  if (retained.length > 0) {
    lines.push(
      `${counted(retained.length, 'object')} that nobody needs ${retained.length === 1 ? 'is' : 'are'} retained ` +
        `by object lock${until === undefined ? '' : `, the first until ${shownTime(until)}`}; a later cleanup ` +
        'removes them',
    );
  }
  return lines;
}

/** What it means for the moments that can be recovered; nothing to say of a cluster of which nothing changes. */
function walLines(
  { systemId, targets, from, becomes, segments, bytes, laterSegments, laterBytes, stays }: CleanupWal,
  would: boolean,
): string[] {
  const cluster = `cluster ${systemId}${targets.length === 0 ? '' : ` (${targets.join(', ')})`}`;
  if (stays !== undefined && from === becomes) return [`log of ${cluster} stays: ${stays}`];
  const since = (moment: string | undefined): string =>
    moment === undefined ? 'empty' : `from ${shownTime(wholeSecond(moment))}`;
  const window =
    from === becomes
      ? `stays ${since(from)}`
      : `${since(from)} ${would ? 'would become' : 'becomes'} ${since(becomes)}`;
  const now =
    `${counted(segments, 'segment')}, ${formatBytes(bytes)} ` +
    `${would ? 'would go' : segments === 1 ? 'goes' : 'go'} now`;
  const later =
    laterBytes === 0
      ? ''
      : `, ${counted(laterSegments, 'segment')}, ${formatBytes(laterBytes)} with the base backups in trash`;
  return from === becomes && bytes === 0 && laterBytes === 0
    ? []
    : [`window of ${cluster}: ${window}; ${now}${later}${stays === undefined ? '' : `; all log stays: ${stays}`}`];
}

/** The first whole second that is not before it: what is shown must be possible. */
function wholeSecond(moment: string): string {
  const ms = Date.parse(moment);
  const isWhole = /:\d\d(?:\.0+)?(?:Z|[+-]\d\d:?\d\d)$/.test(moment);
  return new Date(isWhole ? ms : Math.floor(ms / 1000) * 1000 + 1000).toISOString();
}
