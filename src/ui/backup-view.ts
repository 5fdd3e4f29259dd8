/** What `lifeboat backup` prints. */
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import { counted, formatBytes } from '../lib/units.ts';
import type { BackupResult } from '../operations/backup/request.ts';
import { shownTime, sizeCells, sizeHead } from './sizes.ts';
import { sumSizes } from '../operations/component.ts';
import { columns } from './table.ts';
import type { Paint } from './terminal.ts';
import type { View } from './view.ts';

export const backupView: View<BackupResult> = {
  schema: 'lifeboat.backup/v1',
  kind: 'action',
  text: async (result, paint) => {
    if (result.outcome === 'skipped') return `skipped: ${result.reason}`;
    return result.outcome === 'planned' ? planText(result) : doneText(result, paint);
  },
};

type Done = Extract<BackupResult, { outcome: 'done' }>;
type Planned = Extract<BackupResult, { outcome: 'planned' }>;

async function doneText(result: Done, paint: Paint): Promise<string> {
  const total = sumSizes(result.components);
  const rows = result.components.map((each) => [
    each.name,
    each.serverVersion ?? '',
    ...sizeCells(each),
    formatDuration(each.durationMs),
    each.summary ?? '',
  ]);
  const table = await columns(['COMPONENT', 'VERSION', ...sizeHead, 'TIME', 'WHAT'], rows, [2, 3, 4, 5]);
  const warned =
    result.warnings.length === 0 ? '' : paint.yellow(`, with ${counted(result.warnings.length, 'warning')}`);
  const where = result.encrypted ? result.repository : `${result.repository} (not encrypted)`;
  const took = formatDuration(result.durationMs);
  return [
    table,
    '',
    `${paint.green('backup')} ${result.id} is stored in ${where}${warned}`,
    `read ${formatBytes(total.readBytes)}, stored ${formatBytes(total.storedBytes)}, took ${took}`,
    ...(result.hold === undefined ? [] : [`on hold until ${shownTime(result.hold.until)}`]),
    ...(result.undo === undefined ? [] : ['', 'to go back to it:', `  ${result.undo.command}`]),
  ].join('\n');
}

async function planText(result: Planned): Promise<string> {
  const rows = result.components.map((each) => [
    each.name,
    each.serverVersion ?? '',
    each.estimatedBytes === undefined ? '?' : `about ${formatBytes(each.estimatedBytes)}`,
    Object.entries(each.identity)
      .map(([key, value]) => `${key} ${value}`)
      .join(', '),
  ]);
  const problems = result.components.flatMap((each) =>
    each.problems.map(({ fatal, message, hint }) => {
      const weight = fatal ? 'would fail' : 'warning';
      return `${weight}: ${each.name}: ${printable(message)}\n  hint: ${hint}`;
    }),
  );
  const table = await columns(['COMPONENT', 'VERSION', 'SIZE', 'SOURCE'], rows, [2]);
  const what = `would take a ${result.type} backup of ${result.target} into ${result.repository}:`;
  return [what, table, ...problems].join('\n');
}
