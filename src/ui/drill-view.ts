/** What a drill prints: each component with what it was compared by and how long its restore took. */
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import type { View } from './view.ts';
import type { DrilledBackup, DrilledComponent, DrillResult } from '../operations/drill/request.ts';

export const drillView: View<DrillResult> = {
  schema: 'lifeboat.drill/v1',
  kind: 'action',
  text: ({ backups }, paint) =>
    backups
      .flatMap((backup) => [
        ...backup.components.flatMap(componentText),
        verdict(backup, { good: paint.green, bad: paint.red }),
      ])
      .join('\n'),
};

function componentText(component: DrilledComponent): string[] {
  const { name, durationMs, problems, hint, notes, isolation } = component;
  return [
    `${name}: ${outcomeOf(component)} (${formatDuration(durationMs)})`,
    ...problems.map((each) => `  ${printable(each)}`),
    ...(isolation === 'none' ? ['  without isolation: code in the backup could read what lifeboat can'] : []),
    ...(hint === undefined ? [] : [`  hint: ${printable(hint)}`]),
    ...notes.map((note) => `  note: ${printable(note)}`),
  ];
}

function outcomeOf({ kind, result, summary = '' }: DrilledComponent): string {
  if (result === 'failed') return 'FAILED';
  if (result !== 'equal') return 'not possible';
  return kind === 'base' ? summary : `${summary}, equal to what was recorded`;
}

function verdict(
  { id, result, restoreMs, evidence, moment, seed }: DrilledBackup,
  { good, bad }: { good: (text: string) => string; bad: (text: string) => string },
): string {
  const recorded = evidence === undefined ? 'nothing was recorded' : `recorded as ${evidence}`;
  if (seed !== undefined) return momentVerdict({ id, result, restoreMs, moment, seed }, recorded, { good, bad });
  if (result === 'proven') return good(`${id} is proven: it restores in ${formatDuration(restoreMs)}; ${recorded}`);
  return bad(
    result === 'failed'
      ? `${id} does NOT restore to what was backed up; ${recorded}`
      : `${id} could not be tried; ${recorded}`,
  );
}

function momentVerdict(
  { id, result, restoreMs, moment, seed }: Pick<DrilledBackup, 'id' | 'result' | 'restoreMs' | 'moment' | 'seed'>,
  recorded: string,
  { good, bad }: { good: (text: string) => string; bad: (text: string) => string },
): string {
  const to = moment === undefined ? 'a moment' : moment;
  if (result === 'proven') {
    return good(
      `recovery to ${to} is proven: it starts from ${id} and takes ${formatDuration(restoreMs)}; ${recorded}`,
    );
  }
  const again = moment === undefined ? '' : ` (the same moment again: --seed ${seed ?? ''})`;
  return bad(
    result === 'failed'
      ? `recovery to ${to} from ${id} FAILED; ${recorded}${again}`
      : `recovery to a moment could not be tried; ${recorded}${again}`,
  );
}
