/** What `lifeboat list` prints. */
import type { BackupSummary, ListResult } from '../operations/list/request.ts';
import type { ProofState } from '../operations/proof/state.ts';
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import { shownTime, sizeCells, sizeHead } from './sizes.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';

export const listView: View<ListResult> = {
  schema: 'lifeboat.list/v1',
  kind: 'query',
  text: async ({ repository, backups, damaged }) => {
    const broken = damaged.map(({ object, reason }) => `damaged: ${object}: ${printable(reason)}`);
    if (backups.length === 0) return [`no backups in ${repository}`, ...broken].join('\n');
    const table = await columns(
      ['ID', 'TAKEN (UTC)', 'TYPE', 'COMPONENTS', ...sizeHead, 'STATE', 'NOTES'],
      backups.map(rowOf),
      [4, 5, 6],
    );
    return [table, ...broken].join('\n');
  },
};

function rowOf(backup: BackupSummary): string[] {
  return [
    backup.id,
    shownTime(backup.finishedAt),
    backup.type,
    backup.components.join(','),
    ...sizeCells(backup),
    stateCell(backup),
    notesOf(backup),
  ];
}

/** The state, when it was reached and how long that took, and FAILED where something was found since. */
function stateCell({ standing }: BackupSummary): string {
  if (standing === undefined) return 'unknown';
  const text = reachedText(standing);
  return standing.failing ? `${text}, FAILED` : text;
}

/** "proven 2026-01-02 03:04 (12.3 s)". */
export function reachedText({ state, ...reached }: ProofState): string {
  const milestone = state === 'stored' ? undefined : reached[state];
  return milestone === undefined
    ? state
    : `${state} ${shownTime(milestone.at)} (${formatDuration(milestone.durationMs)})`;
}

/** What is not as usual, then what people wrote. */
export function notesOf(backup: BackupSummary): string {
  const notes: string[] = [];
  if (backup.flaw !== undefined) notes.push(`OF A DAMAGED SOURCE: ${backup.flaw}`);
  if (backup.hold !== undefined) {
    const { reason, until } = backup.hold;
    const term = until === undefined ? 'on hold' : `on hold until ${shownTime(until)}`;
    notes.push(reason === '' ? term : `${term}: ${reason}`);
  }
  if (!backup.encrypted) notes.push('not encrypted');
  else if (backup.trust !== 'authentic') notes.push(backup.trust);
  if (backup.warnings > 0) notes.push(`warnings: ${backup.warnings}`);
  notes.push(...backup.tags.map((tag) => `#${tag}`));
  if (backup.label !== undefined) notes.push(backup.label);
  return notes.join(', ');
}
