/**
 * The pg_dump calls that make up one database's dump, all of one snapshot: custom format, not compressed (the
 * repository does that).
 */
import type { Readable } from 'node:stream';
import { LifeboatError } from '../../../lib/errors.ts';
import { ToolError, startTool } from '../../../lib/exec.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { ToolProcess } from '../../source.ts';
import type { BigTable, DumpParts } from './big-tables.ts';
import { conninfo, quoteQualified } from '../server/quote.ts';
import { largeBuffers } from '../server/stdio-buffers.ts';
import type { PostgresTools } from '../server/tools.ts';
import { lockTableFull } from '../server/connection-errors.ts';
import { libpqEnvironment } from '../server/libpq.ts';

/** A sequence that belongs to a column. */
export interface OwnedSequence {
  readonly schema: string;
  readonly name: string;
  readonly tableSchema: string;
  readonly tableName: string;
}

export interface DumpCommand {
  readonly artifact: string;
  readonly args: readonly string[];
  /** About so many bytes will come; for the order of work. */
  readonly bytes: number;
}

/** Arguments of each part's pg_dump, biggest part first, the schema last. */
export function dumpCommands(parts: DumpParts, sequences: readonly OwnedSequence[]): DumpCommand[] {
  const big = parts.tables.map((table) => ({
    artifact: table.artifact,
    args: tableArguments([table], sequences),
    bytes: table.bytes,
  }));
  return [...big, restOf(parts)].sort((a, b) => b.bytes - a.bytes).concat(schemaOf(parts));
}

/**
 * The same with at most `streams` pg_dumps for the big tables, which have about as much to do each, so that all of them
 * can hold their locks from the start.
 */
export function pipeCommands(parts: DumpParts, sequences: readonly OwnedSequence[], streams: number): PipeCommand[] {
  const groups = Array.from({ length: Math.min(streams, parts.tables.length) }, () => ({
    tables: [] as BigTable[],
    bytes: 0,
  }));
  for (const table of parts.tables) {
    const least = groups.reduce((a, b) => (b.bytes < a.bytes ? b : a));
    least.tables.push(table);
    least.bytes += table.bytes;
  }
  const big = groups.map(({ tables, bytes }) => ({
    artifact: tables.map(({ artifact }) => artifact).join(', '),
    args: tableArguments(tables, sequences),
    bytes,
    tables,
  }));
  return [...big, restOf(parts), schemaOf(parts)];
}

function tableArguments(tables: readonly BigTable[], sequences: readonly OwnedSequence[]): string[] {
  const chosen = new Set(tables.map(nameOf));
  // pg_dump adds the sequences that a chosen table owns; theirs is the rest.
  const owned = sequences.filter(({ tableSchema, tableName }) => chosen.has(quoteQualified(tableSchema, tableName)));
  return [
    '--section=data',
    '--strict-names',
    ...tables.map((table) => `--table=${nameOf(table)}`),
    ...owned.map((each) => `--exclude-table-data=${nameOf(each)}`),
  ];
}

function restOf(parts: DumpParts): DumpCommand {
  const excluded = [...parts.tables, ...parts.leftOut].map((table) => `--exclude-table-data=${nameOf(table)}`);
  const args = ['--section=data', ...excluded];
  return { artifact: parts.data, args, bytes: parts.restBytes };
}

function schemaOf(parts: DumpParts): DumpCommand {
  return { artifact: parts.schema, args: ['--section=pre-data', '--section=post-data'], bytes: 0 };
}

function nameOf({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return quoteQualified(schema, name);
}

export interface PipeCommand extends DumpCommand {
  /** Each is an artifact; absent: the whole is one. */
  readonly tables?: readonly BigTable[];
}

export interface DumpContext {
  readonly url: PostgresUrl;
  readonly tools: PostgresTools;
  readonly database: string;
  readonly encoding: string;
  readonly snapshot: string;
  readonly lockWaitTimeoutMs: number;
  /** Rows of partitions come in through their table, since some could not come into the same partition. */
  readonly isThroughRoots: boolean;
  /** What the session is called; default: lifeboat. */
  readonly applicationName?: string;
  readonly onWarning: (line: string) => void;
}

/**
 * Starts one of them on a file descriptor, or with a stream to read. `done` rejects with `source` (13) unless pg_dump
 * ended well.
 */
export async function startDump(
  command: DumpCommand,
  context: DumpContext,
  stdout: number | 'pipe',
  signal: AbortSignal,
): Promise<ToolProcess & { readonly stdout: Readable | null }> {
  const common = [
    '--format=custom',
    '--compress=0',
    '--no-password',
    // It may wait for its turn for hours, and what is in between must not forget the connection.
    `--dbname=${conninfo(context.database)} keepalives_idle=30`,
    `--snapshot=${context.snapshot}`,
    `--lock-wait-timeout=${context.lockWaitTimeoutMs}`,
    // Of itself it does that only for enums that are columns of a key, not for those in arrays, composites and so on.
    ...(context.isThroughRoots ? ['--load-via-partition-root'] : []),
  ];
  const child = await startTool({
    file: context.tools.pgDump,
    args: [...common, ...command.args],
    env: {
      ...libpqEnvironment(context.url, { database: context.database, encoding: context.encoding }),
      ...largeBuffers('output'),
      ...(context.applicationName === undefined ? {} : { PGAPPNAME: context.applicationName }),
    },
    stdout,
    signal,
    onStderrLine: (line) => {
      if (line.startsWith('pg_dump: warning: ')) context.onWarning(line.slice('pg_dump: warning: '.length));
    },
  });
  const done = child.result.then(
    () => {},
    (error: unknown) => {
      throw error instanceof ToolError ? explain(error, command.artifact, context.database) : error;
    },
  );
  done.catch(() => {});
  return { done, stdout: child.stdout };
}

/**
 * What a program says of a lock that it did not get. The server's own words are in its language (lc_messages), and
 * pg_dump passes on neither its SQLSTATE nor another sign, so that any other failure to lock is taken for a time-out
 * unless it is known. psql shows the SQLSTATE where it locks for us.
 */
const failedLock = /\bquery was: LOCK TABLE|\b55P03: /i;
const outOfLocks = /out of shared memory|max_locks_per_transaction/;

/** Whether it was called off since it waited for a lock for too long. */
export function isLockTimeout(error: unknown): boolean {
  if (!(error instanceof LifeboatError) || !(error.cause instanceof ToolError)) return false;
  const said = error.cause.stderr;
  return failedLock.test(said) && !/permission denied/.test(said) && !outOfLocks.test(said);
}

const advice: readonly (readonly [said: RegExp, hint: string])[] = [
  [/row-level security/, 'the backup user must see all rows: ALTER ROLE … BYPASSRLS (or back up as a superuser)'],
  [
    /permission denied/,
    'grant the missing right, e.g. GRANT pg_read_all_data TO the backup user (PostgreSQL 14 and later); large ' +
      'objects need their owner or a superuser',
  ],
  [outOfLocks, lockTableFull],
  [
    failedLock,
    'another session holds or awaits a lock (see pg_stat_activity); run again when it has ended, or raise ' +
      'lockWaitTimeoutSeconds',
  ],
  [/has no equivalent in encoding/, 'a value cannot be written in UTF-8: correct it in the database'],
  [
    /conflict with recovery/,
    'the standby had to go on: raise max_standby_streaming_delay there or set hot_standby_feedback = on',
  ],
  [/invalid snapshot|snapshot .* does not exist/, "the session that held the snapshot was ended; see the server's log"],
  [
    /server closed the connection|connection to server .* failed|terminating connection/,
    'the server went away: see its log',
  ],
];

function explain(error: ToolError, artifact: string, database: string): LifeboatError {
  const hint = advice.find(([said]) => said.test(error.stderr))?.[1];
  return new LifeboatError('source', `cannot dump ${artifact} of database ${database}: ${error.message}`, {
    hint,
    retryable: true,
    cause: error,
  });
}
