/** What a dump fails with that stood in somebody's way and let go. */
import { GaveWayError } from '../../source.ts';
import type { Waiter } from './lock-watch.ts';

/** The same dump may succeed later; nothing of the other's statement is told but its kind. */
export function gaveWay(database: string, { pid, kind }: Waiter): GaveWayError {
  return new GaveWayError(
    `cannot go on with database ${database}: another session (process ${pid}, ${kind}) waited for a lock on one of ` +
      'its tables, and was let through',
    { hint: 'run it when nobody changes tables there (see pg_stat_activity), or raise lockWaitTimeoutSeconds' },
  );
}
