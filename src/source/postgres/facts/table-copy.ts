/**
 * Counts and sums tables without a query on them: rows come by a plain COPY, which PostgreSQL runs without its planner,
 * through psql into our hash. For tables whose owner's functions a planner could run (see plannable.ts); slower than
 * PostgreSQL's own hash, and as exact. A psql serves one table after the other.
 */
import { randomBytes } from 'node:crypto';
import { LifeboatError } from '../../../lib/errors.ts';
import { type RunningTool, ToolError } from '../../../lib/exec.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { Connection } from '../server/connection.ts';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../server/quote.ts';
import { largeBuffers } from '../server/stdio-buffers.ts';
import { lockStatements } from '../server/lock-sql.ts';
import { findTools } from '../server/tools.ts';
import { libpqEnvironment, startPsql } from '../server/libpq.ts';
import { LineSum } from './line-sum.ts';
import { pinnedSettingsSql } from './pinned-settings.ts';
import type { Relation } from './relations.ts';

/** How the sessions that copy come to the same database and moment as the others. */
export interface CopySettings {
  readonly url: PostgresUrl;
  /** An exported snapshot; default: one of its own for each session. */
  readonly snapshot?: string | undefined;
  /** Default: waits for ever. */
  readonly lockTimeoutMs?: number | undefined;
  /** What the session is called; default: lifeboat. */
  readonly applicationName?: string | undefined;
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

/** As many psqls as there are tables copied side by side; each is started when first needed, and all end with it. */
export class TableCopies implements AsyncDisposable {
  readonly #settings: CopySettings;
  readonly #idle: CopySession[] = [];
  readonly #all: CopySession[] = [];

  constructor(settings: CopySettings) {
    this.#settings = settings;
  }

  /** Reads the table, in the database of `connection`. Throws `source` (13), `tool` (16) where there is no psql. */
  async sum(connection: Connection, table: CopiedTable): Promise<CopiedSum> {
    const session = this.#idle.pop() ?? (await this.#open(connection));
    const sum = new LineSum();
    for await (const piece of session.copy(table)) sum.add(piece);
    this.#idle.push(session);
    return { rows: sum.lines.toString(), sum: sum.sum.toString() };
  }

  /**
   * Opens a session that holds these tables from now on, so that it waits for nobody when they are read. Throws as
   * sum() does; `source` (13) where one could not be had within `waitMs`.
   */
  async hold(connection: Connection, tables: readonly CopiedTable[], waitMs: number): Promise<void> {
    const session = await this.#open(connection);
    await session.lock(tables, waitMs);
    this.#idle.push(session);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map((session) => session.end()));
  }

  async #open(connection: Connection): Promise<CopySession> {
    const session = new CopySession(connection, await psqlFor(connection, this.#settings), this.#settings);
    this.#all.push(session);
    return session;
  }
}

/** Whether there is a row in it; reads no more than its first ones. Throws as TableCopies.sum(). */
export async function hasRowsByCopy(
  connection: Connection,
  table: CopiedTable,
  settings: CopySettings,
): Promise<boolean> {
  const session = new CopySession(connection, await psqlFor(connection, settings), settings);
  try {
    for await (const piece of session.copy(table)) if (piece.length > 0) return true;
    return false;
  } finally {
    await session.end();
  }
}

const lineFeed = 10;

class CopySession {
  readonly #connection: Connection;
  readonly #settings: CopySettings;
  readonly #psql: RunningTool;
  readonly #pieces: AsyncIterator<Uint8Array>;

  constructor(connection: Connection, psql: RunningTool, settings: CopySettings) {
    this.#connection = connection;
    this.#settings = settings;
    this.#psql = psql;
    if (psql.stdin === null || psql.stdout === null) throw new Error('psql was started without pipes');
    psql.result.catch(() => {});
    // What it says of a psql that is gone, its result says better.
    psql.stdin.on('error', () => {});
    psql.stdin.write(beginning(connection, settings));
    this.#pieces = (psql.stdout as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  }

  /** Rows in COPY's text format, a line each; throws also after the last one if psql failed. */
  copy(table: CopiedTable): AsyncGenerator<Uint8Array, void, void> {
    return this.#answer(copySql(table), `cannot read table ${quoteQualified(table.schema, table.name)}`);
  }

  async lock(tables: readonly CopiedTable[], waitMs: number): Promise<void> {
    // With SQLSTATEs, since messages are in the server's language.
    this.#psql.stdin?.write('\\set VERBOSITY verbose\n');
    const statements = [
      `SET lock_timeout = ${Math.max(1, Math.round(waitMs))}`,
      ...lockStatements(tables.map(({ schema, name }) => quoteQualified(schema, name))),
      lockTimeoutSql(this.#settings),
    ];
    for await (const _ of this.#answer(statements.join(';\n'), 'cannot lock the tables for reading'));
    this.#psql.stdin?.write('\\set VERBOSITY default\n');
  }

  /** What statements write to the standard output. */
  async *#answer(sql: string, failed: string): AsyncGenerator<Uint8Array, void, void> {
    // Nobody can have put such a line into a table: it is made up only now.
    const end = randomBytes(16).toString('hex');
    this.#psql.stdin?.write(`${sql};\nCOPY (SELECT '${end}') TO STDOUT;\n`);
    const mark = Buffer.from(`${end}\n`);
    let held: Uint8Array = new Uint8Array();
    let before = lineFeed;
    for (;;) {
      const next = await this.#pieces.next();
      if (next.done === true) throw await this.#failure(failed);
      const all = held.length === 0 ? next.value : Buffer.concat([held, next.value]);
      const rest = Math.max(0, all.length - mark.length);
      const isAtLineStart = (rest === 0 ? before : all[rest - 1]) === lineFeed;
      if (rest > 0) yield all.subarray(0, rest);
      if (isAtLineStart && mark.equals(all.subarray(rest))) return;
      before = rest === 0 ? before : (all[rest - 1] ?? lineFeed);
      held = all.subarray(rest);
    }
  }

  async end(): Promise<void> {
    this.#psql.kill('SIGTERM');
    await this.#psql.result.catch(() => {});
  }

  async #failure(failed: string): Promise<unknown> {
    const cause: unknown = await this.#psql.result.then(
      () => new Error('psql ended early'),
      (error: unknown) => error,
    );
    if (!(cause instanceof ToolError)) return cause;
    return new LifeboatError('source', `${failed} at ${this.#connection.server}: ${cause.message}`, {
      retryable: true,
      cause,
    });
  }
}

/** SQL as psql reads it: in quotes it looks for nothing of its own. Generated columns follow from the others. */
function copySql({ schema, name, columns }: CopiedTable): string {
  const copied = columns.filter(({ isGenerated }) => !isGenerated).map((column) => quoteIdentifier(column.name));
  const list = copied.length === 0 ? '' : ` (${copied.join(', ')})`;
  return `COPY ${quoteQualified(schema, name)}${list} TO STDOUT`;
}

function beginning(connection: Connection, settings: CopySettings): string {
  const limits = ['statement_timeout', 'idle_in_transaction_session_timeout'].concat(
    connection.serverVersionNum >= 170_000 ? ['transaction_timeout'] : [],
  );
  return [
    pinnedSettingsSql(),
    ...(settings.applicationName === undefined
      ? []
      : [`SET application_name = ${quoteLiteral(settings.applicationName)}`]),
    ...limits.map((limit) => `SET ${limit} = 0`),
    lockTimeoutSql(settings),
    'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
    ...(settings.snapshot === undefined ? [] : [`SET TRANSACTION SNAPSHOT ${quoteLiteral(settings.snapshot)}`]),
  ]
    .map((statement) => `${statement};\n`)
    .join('');
}

function lockTimeoutSql({ lockTimeoutMs = 0 }: CopySettings): string {
  return `SET lock_timeout = ${Math.round(lockTimeoutMs)}`;
}

async function psqlFor(connection: Connection, settings: CopySettings): Promise<RunningTool> {
  const { psql } = await findTools(Math.trunc(connection.serverVersionNum / 10_000), { folder: settings.toolFolder });
  const env = { ...libpqEnvironment(settings.url, { encoding: connection.encoding }), ...largeBuffers('output') };
  return startPsql({ file: psql, database: connection.database, env, stdout: 'pipe', signal: settings.signal });
}
