/**
 * Opens queries on relations whose owners may change them at any moment, so that none of their functions is planned.
 * The planner sees the catalog of its own moment, whatever snapshot a query reads; so a look at the catalog is worth
 * something only while definitions cannot change. A session of its own locks the tables in SHARE UPDATE EXCLUSIVE mode:
 * no reader and no writer waits for that, but CREATE INDEX, CREATE STATISTICS and each kind of ALTER TABLE do. Then it
 * looks anew, and the session that counts opens a cursor on each table that is still fit. That plans at once, and a
 * cursor's plan is never made again. When the cursors are open the locks are let go, after milliseconds; the rows are
 * read without them.
 *
 * What can change without a lock on the table does not matter here. Operator classes and families, base types, and the
 * functions of operators that a planner asks are made by superusers only. A function that its owner can replace is one
 * that we do not trust anyhow (plannable.ts). A cast is never called: values of their types are written by the output
 * function (count-sql.ts). A new constraint of a domain is neither folded by the planner nor checked by output; an
 * attribute that is added to a composite changes a hash, and runs nothing.
 * But a name may come to mean another table: whoever owns two schemas can exchange their names. ALTER SCHEMA … RENAME
 * keeps its lock on pg_namespace until it commits, so that is held in SHARE mode as long, which only a superuser may.
 */
import { Places } from '../../../lib/concurrency.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { type Connection, openConnection } from '../server/connection.ts';
import { sqlStateOf } from '../server/connection-errors.ts';
import { quoteQualified } from '../server/quote.ts';
import { readUnplannable } from './plannable.ts';
import type { Relation } from './relations.ts';

export interface GuardSettings {
  readonly url: PostgresUrl;
  readonly database: string;
  /** As for readUnplannable(). */
  readonly trustedExtensions?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A cursor on one table. */
export interface GuardedQuery {
  readonly relation: Pick<Relation, 'oid' | 'schema' | 'name'>;
  /** The statement that opens it, inside a transaction. */
  readonly open: string;
}

/** Who holds locks makes others wait: all of them together no longer than a person notices. */
const patienceMs = 100;

/** One session that holds definitions still; it is opened when first needed. */
export class PlanGuard implements AsyncDisposable {
  readonly #settings: GuardSettings;
  /** One at a time: the locks are against ourselves, too. */
  readonly #turn = new Places(1);
  #session: Promise<Connection | undefined> | undefined;

  constructor(settings: GuardSettings) {
    this.#settings = settings;
  }

  /**
   * Opens those whose tables can be locked now and lead to no function of their owner's; OIDs of these tables. None at
   * all where the locks cannot be had: on a standby, and without a superuser's rights. `isPatient`: waits a moment for
   * each table's lock. Throws `source` (13).
   */
  async open(
    connection: Connection,
    queries: readonly GuardedQuery[],
    { isPatient = false } = {},
  ): Promise<ReadonlySet<string>> {
    if (queries.length === 0) return new Set();
    return this.#turn.run(async () => {
      const keeper = await (this.#session ??= this.#begin());
      if (keeper === undefined) return new Set<string>();
      try {
        const held = await hold(keeper, queries, isPatient ? patienceMs : 1);
        if (held.size === 0) return held;
        const unfit = await readUnplannable(keeper, this.#settings.trustedExtensions);
        const opened = queries.filter(({ relation }) => held.has(relation.oid) && !unfit.has(relation.oid));
        if (opened.length > 0) await connection.query(opened.map(({ open }) => `${open};`).join('\n'));
        return new Set(opened.map(({ relation }) => relation.oid));
      } finally {
        if (!keeper.lost.aborted) await keeper.query('ROLLBACK');
      }
    }, this.#settings.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const keeper = await this.#session?.catch(() => undefined);
    await keeper?.close();
  }

  async #begin(): Promise<Connection | undefined> {
    const { url, database, signal } = this.#settings;
    const keeper = await openConnection(url, { database, signal });
    const [row] = await keeper.query(
      'SELECT NOT pg_is_in_recovery() AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS may',
    );
    if (row?.['may'] === 't') return keeper;
    await keeper.close();
    return undefined;
  }
}

/** Begins a transaction that holds what it can; OIDs of tables that are held and are what their names mean. */
async function hold(
  keeper: Connection,
  queries: readonly GuardedQuery[],
  waitMs: number,
): Promise<ReadonlySet<string>> {
  const wanted = new Map(queries.map(({ relation }) => [relation.oid, quoteQualified(relation.schema, relation.name)]));
  const rows = await keeper.query(holdSql([...wanted.keys()], waitMs)).catch((error: unknown) => {
    if (sqlStateOf(error) === lockNotAvailable) return [];
    throw error;
  });
  const held = rows.filter(
    (row) => wanted.get(row['oid'] ?? '') === quoteQualified(row['schema'] ?? '', row['name'] ?? ''),
  );
  return new Set(held.map((row) => row['oid'] ?? ''));
}

const lockNotAvailable = '55P03';

/**
 * READ COMMITTED: each statement sees what was committed before it began. The lock is taken by name, so which tables
 * it came to hold is asked of the server. A table that cannot be locked is passed over.
 */
function holdSql(oids: readonly string[], waitMs: number): string {
  const list = `'{${oids.join(',')}}'::oid[]`;
  return `
    BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
    SET LOCAL lock_timeout = ${patienceMs};
    LOCK TABLE pg_catalog.pg_namespace IN SHARE MODE;
    SET LOCAL lock_timeout = ${waitMs};
    DO $lifeboat$ DECLARE each oid; BEGIN
      FOREACH each IN ARRAY ${list} LOOP
        BEGIN
          EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', each::regclass);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
      END LOOP;
    END $lifeboat$;
    SELECT c.oid, n.nspname AS schema, c.relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = ANY (${list}) AND c.relkind = 'r' AND c.oid IN (
      SELECT l.relation FROM pg_locks l
      WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
        AND l.mode = 'ShareUpdateExclusiveLock'
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))`;
}
