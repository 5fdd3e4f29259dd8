/**
 * Counts and sums a table without a query on it: its rows come by a plain COPY, which PostgreSQL runs without its
 * planner, through psql into our hash. For tables whose owner's functions a planner would run (see plannable.ts);
 * slower than PostgreSQL's own hash, and as exact.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import { type RunningTool, ToolError } from '../../../lib/exec.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { Connection } from '../server/connection.ts';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../server/quote.ts';
import { largeBuffers } from '../server/stdio-buffers.ts';
import { findTools } from '../server/tools.ts';
import { libpqEnvironment, startPsql } from '../server/libpq.ts';
import { LineSum } from './line-sum.ts';
import { pinnedSettingsSql } from './pinned-settings.ts';
import type { Relation } from './relations.ts';

/** How the sessions that copy come to the same database and moment as the others. */
export interface CopySettings {
  readonly url: PostgresUrl;
  /** An exported snapshot; default: one of its own for each table. */
  readonly snapshot?: string | undefined;
  /** Default: waits for ever. */
  readonly lockTimeoutMs?: number | undefined;
  /** Where psql is; default: found by version. */
  readonly toolFolder?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Both decimal. */
export interface CopiedSum {
  readonly rows: string;
  readonly sum: string;
}

/** What is copied; without columns, all that are stored and not generated. */
export type CopiedTable = Pick<Relation, 'schema' | 'name' | 'columns'>;

/**
 * Reads the table through psql, in the database of `connection`. Throws `source` (13), `tool` (16) where there is no
 * psql.
 */
export async function sumByCopy(
  connection: Connection,
  table: CopiedTable,
  settings: CopySettings,
): Promise<CopiedSum> {
  const sum = new LineSum();
  for await (const piece of copyOut(connection, table, settings)) sum.add(piece);
  return { rows: sum.lines.toString(), sum: sum.sum.toString() };
}

/** Whether there is a row in it; reads no more than its first ones. Throws as sumByCopy(). */
export async function hasRowsByCopy(
  connection: Connection,
  table: CopiedTable,
  settings: CopySettings,
): Promise<boolean> {
  for await (const piece of copyOut(connection, table, settings)) if (piece.length > 0) return true;
  return false;
}

/** Rows in COPY's text format, a line each; throws also after the last one if psql failed. Leaving early ends psql. */
async function* copyOut(
  connection: Connection,
  table: CopiedTable,
  settings: CopySettings,
): AsyncGenerator<Uint8Array, void, void> {
  const psql = await psqlFor(connection, settings);
  let isRead = false;
  try {
    psql.stdin?.end(script(connection, table, settings));
    if (psql.stdout !== null) for await (const piece of psql.stdout) yield piece as Buffer;
    isRead = true;
    await psql.result;
  } catch (error) {
    throw error instanceof ToolError ? unread(error, connection, table) : error;
  } finally {
    if (!isRead) psql.kill('SIGTERM');
    await psql.result.catch(() => {});
  }
}

/** SQL as psql reads it: in quotes it looks for nothing of its own. */
function script(connection: Connection, { schema, name, columns }: CopiedTable, settings: CopySettings): string {
  // Generated columns cannot be copied; they follow from the others.
  const copied = columns.filter(({ isGenerated }) => !isGenerated).map((column) => quoteIdentifier(column.name));
  const list = copied.length === 0 ? '' : ` (${copied.join(', ')})`;
  const limits = ['statement_timeout', 'idle_in_transaction_session_timeout'].concat(
    connection.serverVersionNum >= 170_000 ? ['transaction_timeout'] : [],
  );
  return [
    pinnedSettingsSql(),
    ...limits.map((limit) => `SET ${limit} = 0`),
    `SET lock_timeout = ${Math.round(settings.lockTimeoutMs ?? 0)}`,
    'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
    ...(settings.snapshot === undefined ? [] : [`SET TRANSACTION SNAPSHOT ${quoteLiteral(settings.snapshot)}`]),
    `COPY ${quoteQualified(schema, name)}${list} TO STDOUT`,
    'COMMIT',
  ]
    .map((statement) => `${statement};\n`)
    .join('');
}

async function psqlFor(connection: Connection, settings: CopySettings): Promise<RunningTool> {
  const { psql } = await findTools(Math.trunc(connection.serverVersionNum / 10_000), { folder: settings.toolFolder });
  const env = { ...libpqEnvironment(settings.url, { encoding: connection.encoding }), ...largeBuffers('output') };
  return startPsql({ file: psql, database: connection.database, env, stdout: 'pipe', signal: settings.signal });
}

function unread(error: ToolError, connection: Connection, { schema, name }: CopiedTable): LifeboatError {
  const table = quoteQualified(schema, name);
  return new LifeboatError('source', `cannot read table ${table} at ${connection.server}: ${error.message}`, {
    retryable: true,
    cause: error,
  });
}
