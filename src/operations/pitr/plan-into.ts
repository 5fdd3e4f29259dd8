/**
 * What copying databases, or tables of them, into a live server would do there, and what is in its way: found out
 * before the recovery begins, which may take hours.
 */
import type { TargetConfig } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { PostgresUrl } from '../../config/postgres-url.ts';
import { withConnection } from '../../source/postgres/server/connection.ts';
import { quoteQualified } from '../../source/postgres/server/quote.ts';
import { requireActingRole } from '../../source/postgres/restore/acting-role.ts';
import { parsePattern } from '../../source/postgres/restore/table-patterns.ts';
import type { PitrStep } from './request.ts';
import { placeDatabase } from '../restore/database-place.ts';
import type { RestoreRequest } from '../restore/request.ts';
import { nowhere, type Replaced } from '../restore/step.ts';

type Wanted = RestoreRequest['postgres'];

/** How databases are copied into a live server. */
export interface IntoPlan {
  readonly wanted: Wanted;
  readonly url: PostgresUrl;
  readonly target: TargetConfig | undefined;
  readonly steps: readonly PitrStep[];
  readonly replaces: readonly Replaced[];
  /** Part of the names that are made. */
  readonly at: Date;
}

const component = 'database';

/**
 * Asks the live server what is there. Throws `usage` (2), `source` (13), `confirmation` (18) for tables that would have
 * to be replaced.
 */
export async function planInto(
  loaded: LoadedConfig,
  targetName: string,
  wanted: Wanted,
  at: Date,
  context: RunContext,
): Promise<IntoPlan> {
  const target = loaded.config.targets.get(targetName);
  const url = wanted.toUrl ?? target?.postgres?.url;
  if (url === undefined) throw nowhere('PostgreSQL', 'DATABASE_URL');
  if (wanted.databases.length === 0) {
    throw new LifeboatError('usage', 'no database was named to copy', {
      state: 'nothing was changed',
      hint: 'name one: --into-database app',
    });
  }
  if (wanted.toDatabase !== undefined && wanted.databases.length > 1) {
    const message = `one name (${wanted.toDatabase}) cannot serve ${wanted.databases.length} databases`;
    throw new LifeboatError('usage', message, { state: 'nothing was changed', hint: 'name one with --into-database' });
  }
  const steps: PitrStep[] = [];
  const replaces: Replaced[] = [];
  for (const database of wanted.databases) {
    if (isInPlace(wanted)) {
      await refuseExistingTables(url, database, wanted, context);
      steps.push({ component, to: database, action: `copy tables ${wanted.tables.join(', ')} into it and compare` });
      continue;
    }
    const place = await placeDatabase(wanted, database, url, at, context);
    const what = wanted.tables.length === 0 ? 'it' : `tables ${wanted.tables.join(', ')}`;
    steps.push({ component, to: place.to, action: place.action.replace(/^restore/, `copy ${what}`) });
    if (place.replaces !== undefined) replaces.push(place.replaces);
  }
  return { wanted, url, target, steps, replaces, at };
}

/** Tables into the live database itself: only those that are not there any more. */
export function isInPlace({ tables, intoLive }: Wanted): boolean {
  return tables.length > 0 && intoLive;
}

async function refuseExistingTables(
  url: PostgresUrl,
  database: string,
  { tables, asRole }: Wanted,
  { signal }: RunContext,
): Promise<void> {
  const patterns = tables.map(parsePattern);
  const rows = await withConnection(url, { database, signal }, async (client) => {
    if (asRole !== undefined) await requireActingRole(client, asRole);
    return client.query(
      'SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = ' +
        "c.relnamespace WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> " +
        "'information_schema'",
    );
  });
  const there = rows
    .filter((row) => patterns.some((pattern) => pattern.matches(row['schema'] ?? '', row['name'] ?? '')))
    .map((row) => quoteQualified(row['schema'] ?? '', row['name'] ?? ''));
  if (there.length === 0) return;
  throw new LifeboatError(
    'confirmation',
    `${there.slice(0, 5).join(', ')} ${there.length === 1 ? 'exists' : 'exist'} in database "${database}"`,
    {
      state: 'nothing was changed',
      hint:
        'leave out --into-live: the tables come into a new database beside it, to copy from; or rename them first: ' +
        'ALTER TABLE … RENAME TO …',
    },
  );
}
