/** What `lifeboat integrity` prints of the repository as a whole. */
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import { counted, formatBytes } from '../lib/units.ts';
import type { IntegrityFinding, RepositoryAccount } from '../operations/integrity/request.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';

export const integrityView: View<RepositoryAccount> = {
  schema: 'lifeboat.integrity/v1',
  kind: 'action',
  text: async (result, paint) => {
    const table = await columns(
      ['OBJECTS', 'COUNT', 'SIZE'],
      Object.entries(result.objects).map(([kind, { count, bytes }]) => [kind, String(count), formatBytes(bytes)]),
      [1, 2],
    );
    const isSound = faults(result) === 0;
    return [
      table,
      ...result.findings.map(findingText),
      ...leftText(result),
      ...logText(result),
      (isSound ? paint.green : paint.red)(verdictText(result)),
    ].join('\n');
  },
};

function faults({ findings }: RepositoryAccount): number {
  return findings.filter(({ weight }) => weight === 'fault').length;
}

function findingText({ kind, weight, object, problem, backups }: IntegrityFinding): string {
  const what = weight === 'fault' ? kind : `warning: ${kind}`;
  const more = backups.length > 5 ? `, and ${backups.length - 5} more` : '';
  const touched = backups.length === 0 ? '' : ` (${backups.slice(0, 5).join(', ')}${more})`;
  return `${what}: ${printable(object)}: ${printable(problem)}${touched}`;
}

function leftText({ orphans, young }: RepositoryAccount): string[] {
  const lines: string[] = [];
  if (orphans.count > 0) {
    lines.push(
      `${counted(orphans.count, 'orphan')} (${formatBytes(orphans.bytes)}): no backup names them; lifeboat ` +
        'cleanup takes them',
    );
  }
  if (young.count > 0) {
    lines.push(
      `${counted(young.count, 'object')} ` +
        `(${formatBytes(young.bytes)}) younger than a day: a running backup may need them`,
    );
  }
  return lines;
}

function logText({ log: { part, parts, files, bytes }, objects }: RepositoryAccount): string[] {
  if (objects['wal'] === undefined) return [];
  const which = parts === 1 ? 'all' : `part ${part} of ${parts}`;
  return [`read of the write-ahead log: ${which} (${counted(files, 'file')}, ${formatBytes(bytes)})`];
}

function verdictText(result: RepositoryAccount): string {
  const { repository, durationMs, objects } = result;
  const all = Object.values(objects).reduce((sum, { count }) => sum + count, 0);
  const cost = `${counted(all, 'object')} in ${formatDuration(durationMs)}`;
  const bad = faults(result);
  return bad === 0
    ? `${repository} is whole (${cost})`
    : `${counted(bad, 'fault')} in ${repository} (${cost}); lifeboat validate --all tells what can still be restored`;
}
