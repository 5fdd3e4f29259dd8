/** What stands against renaming a live database, found before anything is touched. */
import { LifeboatError } from '../../../lib/errors.ts';
import type { Queries } from '../server/maintenance.ts';
import { databaseExists } from './target-database.ts';

/**
 * Throws `not_found`, `usage` or `source` if the swap could not be carried out or would break what hangs on the live
 * database.
 */
export async function checkSwap(client: Queries, live: string, restored: string, keptAs: string): Promise<void> {
  for (const name of [live, restored]) {
    if (!(await databaseExists(client, name))) {
      throw new LifeboatError('not_found', `database "${name}" does not exist`, { state: 'nothing was changed' });
    }
  }
  if (await databaseExists(client, keptAs)) {
    throw refuse('usage', `database "${keptAs}" exists already`, 'wait a second, or drop or rename it');
  }
  for (const name of [live, restored]) await refusePrepared(client, name);
  await refuseSlots(client, live);
  await refuseSubscriptions(client, live);
}

async function refusePrepared(client: Queries, name: string): Promise<void> {
  const prepared = await names(client, 'SELECT gid AS name FROM pg_prepared_xacts WHERE database = $1', name);
  if (prepared.length > 0) {
    throw refuse(
      'source',
      `database "${name}" has prepared transactions (${prepared.join(', ')}), which keep it from being renamed`,
      'connect to it and COMMIT PREPARED or ROLLBACK PREPARED each',
    );
  }
}

async function refuseSlots(client: Queries, live: string): Promise<void> {
  const slots = await names(
    client,
    'SELECT slot_name::text AS name FROM pg_replication_slots WHERE database = $1',
    live,
  );
  if (slots.length > 0) {
    throw refuse(
      'source',
      `database "${live}" has logical replication slots (${slots.join(', ')}): they would stay with the replaced ` +
        'database, and their consumers would miss every change from then on',
      'end the subscribers, drop the slots with pg_drop_replication_slot, and set them up anew after the swap',
    );
  }
}

async function refuseSubscriptions(client: Queries, live: string): Promise<void> {
  const subscriptions = await names(
    client,
    'SELECT subname::text AS name FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE subenabled ' +
      'AND d.datname = $1',
    live,
  );
  if (subscriptions.length > 0) {
    throw refuse(
      'source',
      `database "${live}" has active subscriptions (${subscriptions.join(', ')}): they would go on filling the ` +
        'replaced database',
      'ALTER SUBSCRIPTION … DISABLE each, and create them anew after the swap',
    );
  }
}

function refuse(code: 'usage' | 'source', message: string, hint: string): LifeboatError {
  return new LifeboatError(code, message, { hint, state: 'nothing was changed' });
}

async function names(client: Queries, query: string, database: string): Promise<string[]> {
  return (await client.query(query, [database])).map(({ name }) => String(name));
}
