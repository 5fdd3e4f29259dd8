/**
 * Row counts and fingerprints of tables: by a SELECT (count-sql.ts) where no function of anybody's can be run by it, so
 * where the catalog leads to none (plannable.ts) and cannot change before the SELECT is planned (plan-guard.ts). All
 * other tables are read by COPY, which plans nothing, and summed by us.
 */
import { forEachSideBySide } from '../../../lib/concurrency.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { type Connection, openConnection } from '../server/connection.ts';
import { quoteLiteral } from '../server/quote.ts';
import { type CountOptions, countBatch } from './count-batch.ts';
import type { TableFacts } from './facts.ts';
import type { PartitionedTable } from './moving-rows.ts';
import { pinSettings } from './pinned-settings.ts';
import { PlanGuard } from './plan-guard.ts';
import { TableCopies } from './table-copy.ts';
import { type Relation, compareNames, listRelations } from './relations.ts';

export type FingerprintMethod = TableFacts['method'];

export interface FingerprintOptions {
  /** Default: the URL's. */
  readonly database?: string;
  /** An exported snapshot to read; default: one of its own for each session. */
  readonly snapshot?: string;
  /** Sessions side by side; default 1. */
  readonly jobs?: number;
  /** Only these tables; default all. */
  readonly only?: (table: { readonly schema: string; readonly name: string }) => boolean;
  /** The method for a table, so that two servers are compared alike; undefined: the best for this server. */
  readonly method?: (table: { readonly schema: string; readonly name: string }) => FingerprintMethod | undefined;
  /** Told of each relation that can neither be queried nor copied, and so is not in the result. */
  readonly onUncounted?: (table: { readonly schema: string; readonly name: string }) => void;
  /** Told of each partition whose rows may have lain in another one before a restore, and of the table of both. */
  readonly onMoving?: (table: PartitionedTable, within: PartitionedTable) => void;
  /** Where psql is, for tables that are copied; default: found by version. */
  readonly toolFolder?: string | undefined;
  /** As for readUnplannable(). */
  readonly trustedExtensions?: readonly string[] | undefined;
  /** Nobody else has a session there (a throwaway server), so definitions stay as they are. Default false. */
  readonly isAlone?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Counts and hashes the tables of one database, biggest first; the result is in the order of schema and name. Throws
 * `source` (13).
 */
export async function fingerprintTables(url: PostgresUrl, options: FingerprintOptions = {}): Promise<TableFacts[]> {
  const connections: Connection[] = [];
  try {
    const first = await openReader(url, options);
    connections.push(first);
    const relations = (await listRelations(first, options.trustedExtensions)).filter(
      (each) => options.only?.(each) ?? true,
    );
    const wanted = Math.min(options.jobs ?? 1, relations.length);
    while (connections.length < wanted) connections.push(await openReader(url, options));
    const found = await fingerprintRelations(connections, relations, { ...options, url });
    for (const each of relations) if (each.movesWithin !== undefined) options.onMoving?.(each, each.movesWithin);
    relations.filter(isMissingFrom(found)).forEach((each) => options.onUncounted?.(each));
    return found;
  } finally {
    await Promise.all(connections.map((connection) => connection.close()));
  }
}

/** For relations that were asked for and are not in the answer: what is in them cannot be told. */
export function isMissingFrom(found: readonly TableFacts[]): (relation: Relation) => boolean {
  const known = new Set(found.map(({ schema, name }) => JSON.stringify([schema, name])));
  return ({ schema, name }) => !known.has(JSON.stringify([schema, name]));
}

/**
 * The same on sessions that are there, each inside a transaction with the wanted snapshot and prepared by
 * pinSettings(); none of them has used any of the tables yet. Relations that can be neither queried nor copied are left
 * out.
 */
export async function fingerprintRelations(
  connections: readonly Connection[],
  relations: readonly Relation[],
  options: CountOptions,
): Promise<TableFacts[]> {
  const [first] = connections;
  if (first === undefined) throw new Error('there is no session to count with');
  await using guard = new PlanGuard({ ...options, database: first.database });
  await using ownCopies = new TableCopies(options);
  const copies = options.copies ?? ownCopies;
  const idle = [...connections];
  const found: TableFacts[] = [];
  const later: Relation[] = [];
  const count = async (batch: readonly Relation[], isPatient: boolean): Promise<void> => {
    const connection = idle.pop() as Connection;
    const counted = await countBatch({ connection, guard, copies, isPatient }, batch, options);
    found.push(...counted.found);
    later.push(...counted.refused);
    idle.push(connection);
  };
  const biggestFirst = relations.toSorted((a, b) => b.bytes - a.bytes);
  await forEachSideBySide(inBatches(biggestFirst), connections.length, (batch) => count(batch, false));
  await forEachSideBySide(later.splice(0), connections.length, (relation) => count([relation], true));
  return found.sort(byName);
}

async function openReader(url: PostgresUrl, { database, snapshot, signal }: FingerprintOptions): Promise<Connection> {
  const connection = await openConnection(url, { database, signal });
  try {
    await pinSettings(connection);
    await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    if (snapshot !== undefined) await connection.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`);
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Together no more work than a small table; each costs a round to the server, and all of them one look. */
const batchTables = 100;
const batchBytes = 8 * 1024 ** 2;

function* inBatches(relations: readonly Relation[]): Generator<readonly Relation[], void, void> {
  let batch: Relation[] = [];
  let bytes = 0;
  for (const relation of relations) {
    if (batch.length === batchTables || (batch.length > 0 && bytes + relation.bytes > batchBytes)) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(relation);
    bytes += relation.bytes;
  }
  if (batch.length > 0) yield batch;
}

function byName(a: TableFacts, b: TableFacts): number {
  return compareNames(a.schema, b.schema) || compareNames(a.name, b.name);
}
