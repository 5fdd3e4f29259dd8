/** Counts and hashes some tables on one session, each in the way that is safe for it. */
import type { Connection } from '../server/connection.ts';
import { isSpeakable, quoteIdentifier } from '../server/quote.ts';
import { countSql, openSql } from './count-sql.ts';
import type { TableFacts } from './facts.ts';
import type { GuardedQuery, PlanGuard } from './plan-guard.ts';
import { type Relation, isCopyable, namesOf } from './relations.ts';
import type { CopySettings, TableCopies } from './table-copy.ts';

export interface CountingSession {
  readonly connection: Connection;
  readonly guard: PlanGuard;
  readonly copies: TableCopies;
  /** The last try: what cannot be guarded is copied now. */
  readonly isPatient: boolean;
}

export interface CountOptions extends CopySettings {
  /** The method for a table; undefined: the best for this server. */
  readonly method?: (table: { readonly schema: string; readonly name: string }) => TableFacts['method'] | undefined;
  /** As for readUnplannable(). */
  readonly trustedExtensions?: readonly string[] | undefined;
  /** Nobody else has a session there, so definitions stay as they are. */
  readonly isAlone?: boolean;
  /** Sessions that copy, and hold their tables already; default: opened when needed. */
  readonly copies?: TableCopies;
}

interface Task {
  readonly relation: Relation;
  /** None was asked for: another may take its place. */
  readonly isFree: boolean;
  readonly method: TableFacts['method'];
  readonly cursor: string;
}

/**
 * `refused`: could not be guarded this time. What a query locks besides its table (indexes, that a planner looks at;
 * materialized views) is let go when the batch is read: REINDEX or REFRESH would wait for all of the dump, and others
 * behind them.
 */
export async function countBatch(
  session: CountingSession,
  batch: readonly Relation[],
  options: CountOptions,
): Promise<{ readonly found: TableFacts[]; readonly refused: Relation[] }> {
  const { connection, guard, isPatient } = session;
  const tasks = batch.map((relation): Task => {
    const wanted = options.method?.(relation);
    const method = wanted ?? bestMethod(relation, connection.serverVersionNum);
    return { relation, isFree: wanted === undefined, method, cursor: `lifeboat_${relation.oid}` };
  });
  const guarded = new Set(options.isAlone === true ? [] : tasks.filter(needsGuard));
  const queries = [...guarded].filter(({ relation }) => relation.kind === 'r').map(guardedQuery);
  await connection.query('SAVEPOINT lifeboat_batch');
  const opened = await guard.open(connection, queries, { isPatient });
  const found: TableFacts[] = [];
  const refused: Relation[] = [];
  for (const task of tasks) {
    const { relation } = task;
    const isRefused = guarded.has(task) && !opened.has(relation.oid);
    if (isRefused && !isPatient && relation.kind === 'r') refused.push(relation);
    else if (isRefused || !isQueried(task)) found.push(...(await byCopy(session, task)));
    else found.push(await byQuery(connection, task, opened.has(relation.oid)));
  }
  await connection.query('ROLLBACK TO SAVEPOINT lifeboat_batch; RELEASE SAVEPOINT lifeboat_batch');
  return { found, refused };
}

function isQueried({ relation, method }: Task): boolean {
  return relation.isPlannable && method !== 'copy';
}

function needsGuard(task: Task): boolean {
  return isQueried(task) && task.relation.isInOthersHands;
}

function guardedQuery({ relation, method, cursor }: Task): GuardedQuery {
  return { relation, open: openSql(relation, method, cursor) };
}

async function byQuery(connection: Connection, task: Task, isOpen: boolean): Promise<TableFacts> {
  const [row] = await rowOf(connection, task, isOpen);
  const { relation, method } = task;
  const { schema, name, kind, bytes } = relation;
  const counted = { schema, name, kind, bytes, rows: row?.['rows'] ?? '', method };
  return method === 'count' ? counted : { ...counted, fingerprint: row?.['fingerprint'] ?? '0' };
}

async function rowOf(
  connection: Connection,
  { relation, method, cursor }: Task,
  isOpen: boolean,
): ReturnType<Connection['query']> {
  const sql = countSql(relation, method);
  if (!isOpen && sql !== undefined) return connection.query(sql);
  if (!isOpen) await connection.query(openSql(relation, method, cursor));
  return connection.query(`FETCH ALL FROM ${quoteIdentifier(cursor)}`);
}

/** Nothing, where that cannot be. By another method than it was asked for it can only be counted. */
async function byCopy(
  { connection, copies }: CountingSession,
  { relation, isFree, method }: Task,
): Promise<TableFacts[]> {
  if (!isCopyable(relation)) return [];
  const { schema, name, kind, bytes } = relation;
  const { rows, sum } = await copies.sum(connection, relation);
  const counted = { schema, name, kind, bytes, rows };
  return [
    isFree || method === 'copy' ? { ...counted, method: 'copy', fingerprint: sum } : { ...counted, method: 'count' },
  ];
}

function bestMethod(relation: Relation, serverVersionNum: number): TableFacts['method'] {
  if (!relation.isPlannable) return 'copy';
  // What a materialized view holds is made anew by a restore, and may differ from what it held.
  if (relation.columns.length === 0 || relation.kind === 'm' || !isSpeakable(...namesOf(relation))) return 'count';
  return serverVersionNum >= 140000 ? 'record' : 'text';
}
