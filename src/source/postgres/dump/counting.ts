/** The sessions that count and hash a database's tables, in the dump's snapshot, each with its locks from the start. */
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { readLargeObjects } from '../facts/database-facts.ts';
import type { DatabaseFacts, TableFacts } from '../facts/facts.ts';
import { fingerprintRelations } from '../facts/fingerprint.ts';
import { pinSettings } from '../facts/pinned-settings.ts';
import { type Relation, compareNames, namesOf } from '../facts/relations.ts';
import { type CopySettings, TableCopies } from '../facts/table-copy.ts';
import { type Connection, openConnection } from '../server/connection.ts';
import { isSpeakable, quoteLiteral, quoteQualified } from '../server/quote.ts';
import { lockTables, nameSession } from './snapshot.ts';

export interface CountingOptions {
  readonly url: PostgresUrl;
  readonly database: string;
  readonly snapshot: string;
  /** Sessions. */
  readonly jobs: number;
  /** While the locks are taken. */
  readonly lockTimeoutMs: number;
  /** For what is locked only while it is read: materialized views. */
  readonly lockWaitTimeoutMs: number;
  readonly applicationName: string;
  readonly toolFolder: string;
  /** As for readUnplannable(). */
  readonly trustedExtensions: readonly string[] | undefined;
  readonly signal: AbortSignal;
}

export interface Counting {
  /** Throws `source` (13). */
  count(): Promise<Pick<DatabaseFacts, 'tables' | 'largeObjects'>>;
  close(): Promise<void>;
}

/** Opens the sessions and takes the locks. Throws `source` (13). */
export async function openCounting(relations: readonly Relation[], options: CountingOptions): Promise<Counting> {
  const counters: Counter[] = [];
  const close = async (): Promise<void> =>
    void (await Promise.all(
      counters.map(async ({ connection, copies }) => {
        await copies[Symbol.asyncDispose]();
        await connection.close();
      }),
    ));
  try {
    for (const share of sharesOf(relations, options.jobs)) {
      const connection = await openConnection(options.url, {
        database: options.database,
        signal: AbortSignal.any([options.signal]),
      });
      const counter = { connection, share, copies: new TableCopies(settingsOf(options)) };
      counters.push(counter);
      await begin(counter, options);
    }
    return { count: () => countAll(counters, options), close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Counter {
  readonly connection: Connection;
  readonly share: readonly Relation[];
  /** Of what may not be queried. */
  readonly copies: TableCopies;
}

/** About the same number of bytes each; none is empty but the only one. */
function sharesOf(relations: readonly Relation[], jobs: number): Relation[][] {
  const shares = Array.from({ length: Math.max(1, Math.min(jobs, relations.length)) }, () => ({
    bytes: 0,
    relations: [] as Relation[],
  }));
  for (const relation of relations.toSorted((a, b) => b.bytes - a.bytes)) {
    const least = shares.reduce((a, b) => (b.bytes < a.bytes ? b : a));
    least.relations.push(relation);
    // An empty table is some work, too.
    least.bytes += relation.bytes + 1;
  }
  return shares.map((share) => share.relations);
}

async function begin({ connection, share, copies }: Counter, options: CountingOptions): Promise<void> {
  await nameSession(connection, options.applicationName);
  await pinSettings(connection);
  // No more sessions than were asked for: parallel workers would only take time from the dumps, and a fifth more of
  // it in all.
  await connection.query('SET max_parallel_workers_per_gather = 0');
  await connection.query(`SET lock_timeout = ${options.lockTimeoutMs}`);
  await connection.query(
    `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT ${quoteLiteral(options.snapshot)}`,
  );
  const tables = share.filter((each) => each.kind === 'r' && isSpeakable(...namesOf(each)));
  await lockTables(
    connection,
    tables.filter(isQueried).map(({ schema, name }) => quoteQualified(schema, name)),
  );
  // Those that others may change are first used here once their definitions are held still (plan-guard.ts). Where that
  // cannot be, since somebody waits to change them, they are copied as those are that may not be queried at all.
  const copied = tables.filter((each) => !isQueried(each));
  if (copied.length > 0) await copies.hold(connection, copied, options.lockTimeoutMs);
  await connection.query(`SET lock_timeout = ${Math.max(1, Math.round(options.lockWaitTimeoutMs))}`);
}

function isQueried({ isPlannable, isInOthersHands }: Relation): boolean {
  return isPlannable && !isInOthersHands;
}

async function countAll(
  counters: readonly Counter[],
  options: CountingOptions,
): Promise<Pick<DatabaseFacts, 'tables' | 'largeObjects'>> {
  const settings = { ...settingsOf(options), trustedExtensions: options.trustedExtensions };
  const counted = await Promise.all(
    counters.map(({ connection, share, copies }) => fingerprintRelations([connection], share, { ...settings, copies })),
  );
  const [first] = counters;
  if (first === undefined) throw new Error('there is no session to count with');
  return { tables: counted.flat().sort(byName), largeObjects: await readLargeObjects(first.connection) };
}

function settingsOf({ lockWaitTimeoutMs, ...options }: CountingOptions): CopySettings {
  const { url, snapshot, applicationName, toolFolder, signal } = options;
  return { url, snapshot, lockTimeoutMs: lockWaitTimeoutMs, applicationName, toolFolder, signal };
}

function byName(a: TableFacts, b: TableFacts): number {
  return compareNames(a.schema, b.schema) || compareNames(a.name, b.name);
}
