/** What pg_restore could not make is made with functions that see the database's own search_path, where that helps. */
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { counted } from '../../../lib/units.ts';
import { type FunctionPlace, withFunctionPaths } from './function-paths.ts';
import { type RestoreIssue, nameOf, restoreFailure } from './issues.ts';

export interface SecondTry {
  readonly place: FunctionPlace;
  /** The database's own. */
  readonly searchPath: string;
  /** As in restoreFailure(). */
  readonly part: string;
  /** At least one. */
  readonly failed: readonly RestoreIssue[];
  /** Tries just those; throws `integrity` for what fails again. */
  readonly work: () => Promise<void>;
}

/** Throws the failure of the first try where the second fails too or makes no sense: what is made in part hides why. */
export async function tryAgain(
  { place, searchPath, part, failed, work }: SecondTry,
  context: RunContext,
): Promise<void> {
  const failure = restoreFailure(part, failed);
  if (failure.code !== 'integrity' || failed.some(({ tocId }) => tocId === undefined)) throw failure;
  const isDone = await withFunctionPaths(place, searchPath, async () => {
    const what = counted(failed.length, 'failed entry', 'failed entries');
    const message = `trying ${what} again with functions that see the search_path ${searchPath}`;
    context.emit({ type: 'step', component: 'postgres', message });
    return work().then(
      () => true,
      (error: unknown) => {
        if (error instanceof LifeboatError && error.code === 'integrity') return false;
        throw error;
      },
    );
  });
  if (isDone !== true) throw failure;
}

/** For a report: what would not have come in without. */
export function helpedNote(failed: readonly RestoreIssue[], searchPath: string): string {
  const all = [...new Set(failed.map(nameOf))];
  const names = all.slice(0, 5).join(', ');
  const more = all.length > 5 ? `, and ${all.length - 5} more` : '';
  return (
    `${names}${more}: only came in with functions that see the database's own search_path (${searchPath}), since ` +
    'they name something without its schema; pg_restore alone loses this: give them a search_path of their own ' +
    '(ALTER FUNCTION … SET search_path = …)'
  );
}
