/**
 * Puts a restored database into the place of a live one. Everything happens in one transaction: both
 * renames, and the live one's owner, grants, settings and comment on the restored one. So the swap is
 * there or it is not, whenever this program or the server dies. The first rename holds the exclusive
 * lock of the live database while it waits for that one's sessions to go (PostgreSQL waits 5 s): newcomers
 * queue at the lock, so a second connection ends the sessions there are and none can slip in between;
 * switching connections off beforehand, which a crash would leave switched off, is not needed.
 */
import type { RunContext } from '../../../lib/events.ts';
import { LifeboatError } from '../../../lib/errors.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { sqlStateOf } from '../server/connection-errors.ts';
import { copyStatements } from './database-settings.ts';
import { type Queries, serverWords, withMaintenance } from '../server/maintenance.ts';
import { beforeName, checkDatabaseName, undoneName } from './names.ts';
import { quoteIdentifier } from '../server/quote.ts';
import { checkSwap } from './swap-check.ts';
import { outcomeOfSwap, witnessSwap, type SwapWitness } from './swap-outcome.ts';
import { freeStampedName } from './unfinished.ts';

export interface SwapRequest {
  /** Of the server; any database of it may be named, another one is connected to where it is one of the two. */
  readonly url: PostgresUrl;
  readonly live: string;
  readonly restored: string;
  /** Part of the old one's name. */
  readonly at: Date;
  /** Default: `<live, shortened>_before_<yyyymmddThhmmss>`. */
  readonly keepAs?: string;
  /** Default true: owner, grants, settings, comment and limit of the live one go over to the restored one. */
  readonly copySettings?: boolean;
}

export interface SwapReport {
  readonly live: string;
  /** Where the replaced database is now. */
  readonly keptAs: string;
  /** Sessions that were ended. */
  readonly endedSessions: number;
  /** SQL that takes it back; to be run in another database than these two, with no session in them. */
  readonly undoSql: readonly string[];
}

/** How often the rename is tried: each try waits 5 s for sessions to go. */
const attempts = 4;

/** Whether the swap was done could not be found out: its COMMIT got no answer, and the server gives none. */
export class SwapUnknownError extends LifeboatError {}

/**
 * Swaps. On any error but a SwapUnknownError nothing has changed, and the error says so; `source` (13), `usage` (2),
 * `not_found` (10).
 */
export async function swapDatabases(request: SwapRequest, context: RunContext): Promise<SwapReport> {
  const { live, restored } = request;
  const options = { url: request.url, except: [live, restored], signal: context.signal };
  return withMaintenance(options, async (client) => {
    const keptAs = request.keepAs ?? (await freeStampedName(client, (at) => beforeName(live, at), request.at));
    checkDatabaseName(keptAs);
    await checkSwap(client, live, restored, keptAs);
    return withMaintenance(options, async (killer) => {
      const statements = [
        ...(request.copySettings === false ? [] : await copyStatements(client, live, restored)),
        `ALTER DATABASE ${quoteIdentifier(live)} RENAME TO ${quoteIdentifier(keptAs)}`,
        `ALTER DATABASE ${quoteIdentifier(restored)} RENAME TO ${quoteIdentifier(live)}`,
      ];
      const witness = await witnessSwap(client, { live, restored, keptAs });
      const endedSessions = await renameBoth({ url: request.url, client, killer, statements, witness }, context);
      return { live, keptAs, endedSessions, undoSql: undoSql(live, keptAs, undoneName(live, request.at)) };
    });
  });
}

export interface UndoRequest {
  readonly url: PostgresUrl;
  readonly live: string;
  /** The database that was kept when it was replaced. */
  readonly keptAs: string;
  readonly at: Date;
}

/**
 * Takes a swap back: the kept database, with all that is its own, has the name again; the other, with what was written
 * since, is kept as `<live>_undone_<stamp>`.
 */
export async function undoSwap(request: UndoRequest, context: RunContext): Promise<SwapReport> {
  const { url, live, keptAs, at } = request;
  return swapDatabases({ url, live, restored: keptAs, at, keepAs: undoneName(live, at), copySettings: false }, context);
}

/** The statements that an operator can run in psql instead. */
function undoSql(live: string, keptAs: string, undone: string): string[] {
  return [
    'BEGIN;',
    `ALTER DATABASE ${quoteIdentifier(live)} RENAME TO ${quoteIdentifier(undone)};`,
    `ALTER DATABASE ${quoteIdentifier(keptAs)} RENAME TO ${quoteIdentifier(live)};`,
    'COMMIT;',
  ];
}

interface Renaming {
  readonly url: PostgresUrl;
  readonly client: Queries;
  readonly killer: Queries;
  readonly statements: readonly string[];
  readonly witness: SwapWitness;
}

/** How many sessions it ended. */
async function renameBoth(renaming: Renaming, context: RunContext): Promise<number> {
  const { client, killer, witness } = renaming;
  const { signal } = context;
  const names = [witness.live, witness.restored];
  let ended = 0;
  for (let attempt = 1; ; attempt++) {
    const sweeper = endSessions(killer, names);
    let atCommit = false;
    try {
      await beginRenames(renaming);
      signal.throwIfAborted();
      atCommit = true;
      await client.query('COMMIT');
      return ended + (await sweeper.stop());
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {});
      ended += await sweeper.stop().catch(() => 0);
      if (atCommit && (await wasCommitted(renaming, error, context))) return ended;
      signal.throwIfAborted();
      if (sqlStateOf(error) === '55006' && attempt < attempts && sweeper.failure() === undefined) continue;
      throw swapFailed(names, sweeper.failure() ?? error);
    }
  }
}

async function beginRenames({ client, statements }: Renaming): Promise<void> {
  await client.query('BEGIN');
  // Flushed whatever the server's default: from here on clients write into the restored one.
  await client.query('SET LOCAL synchronous_commit = on');
  for (const statement of statements) await client.query(statement);
}

/** What became of a COMMIT that failed: an answer that is lost says nothing. Throws SwapUnknownError. */
async function wasCommitted({ url, witness }: Renaming, cause: unknown, { emit }: RunContext): Promise<boolean> {
  const { live, restored, restoredOid } = witness;
  const outcome = await outcomeOfSwap(url, witness);
  if (outcome === undefined) {
    throw new SwapUnknownError(
      'source',
      `database "${live}" may or may not have been swapped for "${restored}": the answer to COMMIT was lost ` +
        `(${serverWords(cause)}), and the server cannot be asked`,
      {
        state: 'both databases are there, whatever they are called now',
        hint: `psql -c "SELECT datname FROM pg_database WHERE oid = ${restoredOid}" tells: ${live} if it was done`,
        cause,
      },
    );
  }
  if (outcome === 'not-swapped') return false;
  const message = `the answer to COMMIT was lost (${serverWords(cause)}); the swap of database "${live}" was done`;
  emit({ type: 'step', component: 'postgres', message });
  return true;
}

/** Ends the sessions in the databases again and again until stopped; `stop` resolves with how many it ended. */
function endSessions(killer: Queries, names: readonly string[]): { stop(): Promise<number>; failure(): unknown } {
  let going = true;
  let failure: unknown;
  const seen = new Set<number>();
  const loop = (async (): Promise<void> => {
    while (going) {
      const rows = await killer.query(
        'SELECT pid, pg_terminate_backend(pid) AS ended FROM pg_stat_activity WHERE datname IN ($1, $2) AND ' +
          "backend_type <> 'autovacuum worker'",
        names,
      );
      for (const { pid, ended } of rows) if (ended === 't') seen.add(Number(pid));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })().catch((error: unknown) => {
    failure = error;
  });
  return {
    stop: async () => {
      going = false;
      await loop;
      return seen.size;
    },
    failure: () => failure,
  };
}

function swapFailed(names: readonly string[], cause: unknown): LifeboatError {
  const state = sqlStateOf(cause);
  const hint =
    state === '42501'
      ? 'the role needs to own both databases, CREATEDB, and pg_signal_backend to end sessions of others; or swap ' +
        'as a superuser'
      : state === '55006'
        ? 'sessions in it do not end: stop the application, then swap again'
        : undefined;
  return new LifeboatError('source', `cannot swap database "${names[0]}" for "${names[1]}": ${serverWords(cause)}`, {
    hint,
    state: 'nothing was changed',
    retryable: state === '55006',
    cause,
  });
}
