/**
 * One database's part of a logical backup. From the moment it is opened it holds a snapshot; it lets go
 * when every archive has been written and all facts are read, or at once when it is abandoned. If the
 * session that holds the snapshot dies, the dump fails, even if each pg_dump ended well.
 */
import type { RunContext } from '../../../lib/events.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { Artifact, ToolProcess } from '../../source.ts';
import { type DumpParts, planParts } from './big-tables.ts';
import { type Connection, openConnection } from '../server/connection.ts';
import { type CatalogFacts, readCatalogFacts, readLargeObjects } from '../facts/database-facts.ts';
import { type DumpCommand, type DumpContext, type OwnedSequence, dumpCommands, startDump } from './pg-dump.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { fingerprintRelations } from '../facts/fingerprint.ts';
import { pinSettings } from '../facts/pinned-settings.ts';
import { type Relation, listRelations } from '../facts/relations.ts';
import { tellUncounted } from './uncounted.ts';
import { quoteLiteral } from '../server/quote.ts';
import { type Snapshot, holdSnapshot } from './snapshot.ts';
import type { PostgresTools } from '../server/tools.ts';

export interface DatabaseDumpOptions {
  readonly url: PostgresUrl;
  readonly database: string;
  readonly tools: PostgresTools;
  /** '' or '0001-': stands before each artifact's name. */
  readonly prefix: string;
  readonly bigTableBytes: number;
  readonly lockWaitTimeoutMs: number;
  /** As for readUnplannable(). */
  readonly trustedExtensions?: readonly string[] | undefined;
  /** Sessions that read counts and fingerprints. */
  readonly fingerprintJobs: number;
}

export interface DatabaseDump {
  /** To be run in this order, as many side by side as there is room for. */
  readonly artifacts: readonly Artifact[];
  /** Settles when every artifact's program has ended, the facts are read and nothing is held any more. */
  readonly facts: Promise<DatabaseFacts>;
  /** Ends programs and sessions; `facts` rejects with the reason. Resolves when they are gone. */
  abandon(reason: Error): Promise<void>;
}

/** Takes the snapshot and begins to read facts. Throws `source` (13). */
export async function openDatabaseDump(options: DatabaseDumpOptions, context: RunContext): Promise<DatabaseDump> {
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const snapshot = await holdSnapshot(options.url, {
    database: options.database,
    lockWaitTimeoutMs: options.lockWaitTimeoutMs,
    signal,
  });
  const { connection } = snapshot;
  connection.lost.addEventListener('abort', () => stop.abort(connection.lost.reason), { once: true });
  try {
    const relations = await listRelations(connection, options.trustedExtensions);
    const catalog = await readCatalogFacts(connection);
    const parts = planParts(relations, options.bigTableBytes, options.prefix);
    const commands = dumpCommands(parts, await readOwnedSequences(connection));
    context.emit({ type: 'snapshot', component: 'postgres', database: options.database, snapshot: snapshot.name });
    const running = new DumpRun(commands, dumpContext(options, snapshot, relations, context), signal);
    const facts = finish({ options, context, snapshot, relations, catalog, parts, running, signal, stop });
    facts.catch(() => {});
    return {
      artifacts: running.artifacts,
      facts,
      abandon: async (reason) => {
        stop.abort(reason);
        await facts.catch(() => {});
      },
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

interface Unfinished {
  readonly options: DatabaseDumpOptions;
  readonly context: RunContext;
  readonly snapshot: Snapshot;
  readonly relations: readonly Relation[];
  readonly catalog: CatalogFacts;
  readonly parts: DumpParts;
  readonly running: DumpRun;
  readonly signal: AbortSignal;
  /** Ends all that `signal` reaches. */
  readonly stop: AbortController;
}

async function finish({
  options,
  context,
  snapshot,
  relations,
  catalog,
  parts,
  running,
  signal,
  stop,
}: Unfinished): Promise<DatabaseFacts> {
  try {
    // Whichever fails first ends the other; both are awaited, so that nothing runs on.
    const work = [readRows(options, snapshot, relations, signal), running.ended] as const;
    for (const each of work) each.catch((error: unknown) => stop.abort(error));
    const [rows] = await Promise.allSettled([...work, running.gone]);
    signal.throwIfAborted();
    if (rows.status === 'rejected') throw rows.reason;
    await snapshot.connection.query('COMMIT');
    const big = parts.tables.map(({ artifact, schema, name }) => ({ artifact, schema, name }));
    return {
      ...catalog,
      snapshot: {
        name: snapshot.name,
        ...(snapshot.lsn === undefined ? {} : { lsn: snapshot.lsn }),
        takenAt: snapshot.takenAt,
      },
      artifacts: { schema: parts.schema, data: parts.data, tables: big },
      ...rows.value,
      ...trustedBy(options),
      ...tellUncounted(relations, rows.value.tables, options.database, context),
    };
  } finally {
    await snapshot.connection.close();
    context.emit({ type: 'snapshot-end', component: 'postgres', database: options.database, snapshot: snapshot.name });
  }
}

/** Counts and fingerprints, while the dumps run: both read the same pages at about the same time. */
async function readRows(
  options: DatabaseDumpOptions,
  snapshot: Snapshot,
  relations: readonly Relation[],
  signal: AbortSignal,
): Promise<Pick<DatabaseFacts, 'tables' | 'largeObjects'>> {
  const connections: Connection[] = [];
  try {
    for (let i = 0; i < Math.max(1, Math.min(options.fingerprintJobs, relations.length)); i++) {
      const connection = await openConnection(options.url, {
        database: options.database,
        signal: AbortSignal.any([signal]),
      });
      connections.push(connection);
      await pinSettings(connection);
      // No more sessions than were asked for: parallel workers would only take time from the dumps, and a fifth more of
      // it in all.
      await connection.query('SET max_parallel_workers_per_gather = 0');
      // Behind an ALTER TABLE that waits for our snapshot's locks we would wait for ever, and all the application with
      // us.
      await connection.query(`SET lock_timeout = ${Math.max(1, Math.round(options.lockWaitTimeoutMs))}`);
      await connection.query(
        `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot.name)}`,
      );
    }
    const tables = await fingerprintRelations(connections, relations, {
      url: options.url,
      snapshot: snapshot.name,
      lockTimeoutMs: options.lockWaitTimeoutMs,
      toolFolder: options.tools.folder,
      trustedExtensions: options.trustedExtensions,
      signal,
    });
    const [first] = connections;
    if (first === undefined) throw new Error('there is no session to count with');
    return { tables, largeObjects: await readLargeObjects(first) };
  } finally {
    await Promise.all(connections.map((connection) => connection.close()));
  }
}

function trustedBy({ trustedExtensions = [] }: DatabaseDumpOptions): Pick<DatabaseFacts, 'trustedExtensions'> {
  return trustedExtensions.length === 0 ? {} : { trustedExtensions: [...trustedExtensions] };
}

/** The programs of all parts: artifacts to hand out, and one promise for the end of all. */
class DumpRun {
  readonly artifacts: readonly Artifact[];
  /** Resolves when each part's program ended well; rejects with the first failure, at once. */
  readonly ended: Promise<void>;
  /** Resolves when no program of it runs any more. */
  readonly gone: Promise<void>;

  constructor(commands: readonly DumpCommand[], context: DumpContext, signal: AbortSignal) {
    const parts = commands.map((command) => ({ command, ...Promise.withResolvers<void>() }));
    // A part that was never asked for must not be waited for once all is called off.
    const callOff = (): void =>
      parts.forEach((part) => started.has(part.command) || part.reject(signal.reason as Error));
    const started = new Set<DumpCommand>();
    if (signal.aborted) callOff();
    signal.addEventListener('abort', callOff, { once: true });
    this.artifacts = parts.map(({ command, resolve, reject }) => ({
      name: command.artifact,
      mediaType: 'application/vnd.postgresql.custom-dump',
      body: {
        from: 'tool',
        run: async (stdoutFd: number, bodySignal: AbortSignal): Promise<ToolProcess> => {
          started.add(command);
          try {
            const child = await startDump(command, context, stdoutFd, AbortSignal.any([signal, bodySignal]));
            child.done.then(resolve, reject);
            return child;
          } catch (error) {
            reject(error);
            throw error;
          }
        },
      },
    }));
    const all = parts.map(({ promise }) => promise);
    this.ended = Promise.all(all).then(() => {});
    this.ended.catch(() => {});
    this.gone = Promise.allSettled(all).then(() => {});
  }
}

function dumpContext(
  options: DatabaseDumpOptions,
  snapshot: Snapshot,
  relations: readonly Relation[],
  context: RunContext,
): DumpContext {
  return {
    ...options,
    encoding: snapshot.connection.encoding,
    snapshot: snapshot.name,
    isThroughRoots: relations.some(({ movesWithin }) => movesWithin !== undefined),
    onWarning: (line) =>
      context.emit({
        type: 'warning',
        component: 'postgres',
        message: `pg_dump of database ${options.database}: ${line}`,
      }),
  };
}

/** Sequences that belong to columns; pg_dump takes them along with a table. */
export async function readOwnedSequences(connection: Connection): Promise<OwnedSequence[]> {
  const rows = await connection.query(`
    SELECT sn.nspname AS schema, s.relname AS name, tn.nspname AS table_schema, t.relname AS table_name
    FROM pg_depend d
      JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
      JOIN pg_namespace sn ON sn.oid = s.relnamespace
      JOIN pg_class t ON t.oid = d.refobjid
      JOIN pg_namespace tn ON tn.oid = t.relnamespace
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0`);
  return rows.map((row) => ({
    schema: row['schema'] ?? '',
    name: row['name'] ?? '',
    tableSchema: row['table_schema'] ?? '',
    tableName: row['table_name'] ?? '',
  }));
}
