/** As what a database is restored: under its own name where that is free, else beside, until a swap. */
import type { RunContext } from '../../lib/events.ts';
import type { PostgresUrl } from '../../config/postgres-url.ts';
import { requireActingRole } from '../../source/postgres/restore/acting-role.ts';
import { restoredName } from '../../source/postgres/restore/names.ts';
import { databaseExists } from '../../source/postgres/restore/target-database.ts';
import { freeStampedName } from '../../source/postgres/restore/unfinished.ts';
import { withMaintenance } from '../../source/postgres/server/maintenance.ts';
import type { RestoreRequest } from './request.ts';
import type { Replaced } from './step.ts';

/** What a database is restored as, and what that replaces. */
export interface DatabasePlace {
  readonly wanted: string;
  readonly isThere: boolean;
  /** The name that it gets, or has until the swap. */
  readonly name: string;
  readonly swaps: boolean;
  readonly to: string;
  readonly action: string;
  readonly replaces: Replaced | undefined;
}

/** Asks the server what is there; changes nothing. */
export async function placeDatabase(
  request: RestoreRequest['postgres'],
  database: string,
  url: PostgresUrl,
  at: Date,
  { signal }: Pick<RunContext, 'signal'>,
): Promise<DatabasePlace> {
  const { toDatabase, intoLive, asRole } = request;
  const wanted = toDatabase ?? database;
  const { isThere, beside } = await withMaintenance({ url, except: [], signal }, async (client) => {
    if (asRole !== undefined) await requireActingRole(client, asRole);
    return {
      isThere: await databaseExists(client, wanted),
      beside: await freeStampedName(client, (when) => restoredName(wanted, when), at),
    };
  });
  const swaps = intoLive && isThere;
  const name = isThere && toDatabase === undefined ? beside : wanted;
  if (!swaps) {
    const action = 'restore into a new database and compare';
    return { wanted, isThere, name, swaps, to: name, action, replaces: undefined };
  }
  const consequences = [
    `sessions in database "${wanted}" are ended`,
    `it is kept under another name; what is written to it from now on is not in the restored one`,
  ];
  const saveBy = request.toUrl === undefined ? 'database' : undefined;
  const replaces = { name: wanted, consequences, saveBy } as const;
  return { wanted, isThere, name: beside, swaps, to: wanted, action: 'restore beside, compare, swap', replaces };
}
