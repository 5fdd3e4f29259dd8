/** What a drill prints: each component with what it was compared by and how long its restore took. */
import { exitCodeOf, exitCodeWarnings } from '../lib/errors.ts';
import { formatDuration } from '../lib/time.ts';
import type { DrilledBackup, DrilledComponent, DrillResult } from '../operations/requests.ts';
import { oneLine } from './table.ts';
import type { View } from './view.ts';

export const drillView: View<DrillResult> = {
  schema: 'lifeboat.drill/v1',
  kind: 'action',
  text: ({ backups }, paint) => backups.flatMap((backup) => [...backup.components.flatMap(componentText), verdict(backup, { good: paint.green, bad: paint.red })]).join('\n'),
  exitCode: ({ backups, warnings }) => {
    if (backups.some(({ result }) => result === 'failed')) return exitCodeOf.integrity;
    const impossible = backups.flatMap(({ components }) => components).find(({ result }) => result === 'impossible');
    if (impossible !== undefined) return exitCodeOf[impossible.code ?? 'tool'];
    return warnings.length > 0 ? exitCodeWarnings : 0;
  },
};

function componentText({ name, result, summary, durationMs, problems, hint, notes }: DrilledComponent): string[] {
  const what = result === 'equal' ? `${summary ?? ''}, equal to what was recorded` : result === 'failed' ? 'FAILED' : 'not possible';
  return [`${name}: ${what} (${formatDuration(durationMs)})`, ...problems.map((each) => `  ${oneLine(each)}`), ...(hint === undefined ? [] : [`  hint: ${oneLine(hint)}`]), ...notes.map((note) => `  note: ${oneLine(note)}`)];
}

function verdict({ id, result, restoreMs, evidence }: DrilledBackup, { good, bad }: { good: (text: string) => string; bad: (text: string) => string }): string {
  const recorded = evidence === undefined ? 'nothing was recorded' : `recorded as ${evidence}`;
  if (result === 'proven') return good(`${id} is proven: it restores in ${formatDuration(restoreMs)}; ${recorded}`);
  return bad(result === 'failed' ? `${id} does NOT restore to what was backed up; ${recorded}` : `${id} could not be tried; ${recorded}`);
}
