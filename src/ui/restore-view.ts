/** What `lifeboat restore` prints. */
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import { counted, formatBytes } from '../lib/units.ts';
import type { RestoredComponent, RestoreResult, UndoRestoreResult } from '../operations/restore/request.ts';
import { columns } from './table.ts';
import type { Paint } from './terminal.ts';
import type { View } from './view.ts';

export const restoreView: View<RestoreResult> = {
  schema: 'lifeboat.restore/v1',
  kind: 'action',
  text: async (result, paint) => (result.outcome === 'planned' ? planText(result) : doneText(result, paint)),
};

export const undoRestoreView: View<UndoRestoreResult> = {
  schema: 'lifeboat.restore-undo/v1',
  kind: 'action',
  text: ({ outcome, database, setAside }) => {
    const gave = outcome === 'planned' ? 'would give' : 'gave';
    return `${gave} ${database} its old content back; the restored one is kept as ${setAside}`;
  },
};

type Done = Extract<RestoreResult, { outcome: 'done' }>;

const verdicts: Readonly<Record<RestoredComponent['verified'], string>> = {
  equal: 'equal to the backup',
  partial: 'equal where it could be compared',
  'not-checked': 'not checked',
};

async function doneText(result: Done, paint: Paint): Promise<string> {
  const rows = result.components.map((each) => [
    each.name,
    each.to,
    formatBytes(each.bytes),
    formatDuration(each.durationMs),
    verdicts[each.verified],
    each.summary ?? '',
  ]);
  const lines = [await columns(['COMPONENT', 'RESTORED TO', 'READ', 'TIME', 'VERIFIED', 'WHAT'], rows, [2, 3]), ''];
  const warned =
    result.warnings.length === 0 ? '' : paint.yellow(`, with ${counted(result.warnings.length, 'warning')}`);
  lines.push(`${paint.green('restored')} ${result.id} in ${formatDuration(result.durationMs)}${warned}`);
  for (const each of result.components) {
    if (each.kept !== undefined) lines.push(`the old ${each.name} is kept as ${printable(each.kept)}`);
    if (each.undo !== undefined) lines.push(`to take it back: ${printable(each.undo)}`);
  }
  if (result.safetyBackupId !== undefined) lines.push(`what was there before is backup ${result.safetyBackupId}`);
  return lines.join('\n');
}

async function planText(result: Extract<RestoreResult, { outcome: 'planned' }>): Promise<string> {
  const rows = result.steps.map((step, index) => [
    String(index + 1),
    step.component,
    step.action,
    step.to,
    formatBytes(step.bytes),
  ]);
  const warnings = result.warnings.map((warning) => `warning: ${warning}`);
  return [
    `would restore ${result.id}:`,
    await columns(['', 'COMPONENT', 'STEP', 'TO', 'SIZE'], rows, [4]),
    ...warnings,
  ].join('\n');
}
