/**
 * A server that is at rest, in the shape of a backup: facts of its databases, and archives that pg_dump
 * writes while they are read. So what restores backups also copies from one server to another, compares
 * with what the first one holds, and needs no room in between.
 */
import type { RunContext } from '../../../lib/events.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { ArtifactInfo, ArtifactReader } from '../../source.ts';
import { type DumpParts, planParts } from './big-tables.ts';
import { type Connection, openConnection, withConnection } from '../server/connection.ts';
import { readOwnedSequences } from './owned-sequences.ts';
import { readCatalogFacts, readLargeObjects } from '../facts/database-facts.ts';
import { type DumpCommand, type DumpContext, dumpCommands, startDump } from './pg-dump.ts';
import type { DatabaseFacts, PostgresFacts } from '../facts/facts.ts';
import { fingerprintRelations } from '../facts/fingerprint.ts';
import { pinSettings } from '../facts/pinned-settings.ts';
import { listRelations } from '../facts/relations.ts';
import { tellUncounted } from './uncounted.ts';
import { dumpGlobals } from './globals.ts';
import { quoteLiteral } from '../server/quote.ts';
import { type Snapshot, holdSnapshot } from './snapshot.ts';
import { type PostgresTools, findTools } from '../server/tools.ts';

export interface LiveDumpOptions {
  /** Of a superuser; nobody else writes there. */
  readonly url: PostgresUrl;
  readonly databases: readonly string[];
  /** Sessions that read counts and fingerprints. */
  readonly jobs: number;
  readonly bigTableBytes: number;
  readonly lockWaitTimeoutMs: number;
  /** Folder of the server's programs. */
  readonly programs: string;
}

export interface LiveDump extends AsyncDisposable {
  readonly facts: PostgresFacts;
  /** Each open() starts a pg_dump; ranges are not served. */
  readonly reader: ArtifactReader;
}

/**
 * Holds a snapshot of each database, and has counted and hashed every table, when it resolves. Throws `source` (13),
 * `tool` (16).
 */
export async function openLiveDump(options: LiveDumpOptions, context: RunContext): Promise<LiveDump> {
  const snapshots: Snapshot[] = [];
  const close = async (): Promise<void> =>
    void (await Promise.all(snapshots.map(({ connection }) => connection.close())));
  try {
    const { server, tools, globals } = await readServer(options, context);
    const sources = new Map<string, Source>([
      [globalsName, { bytes: globals.sql.length, open: () => once(globals.sql) }],
    ]);
    const databases: DatabaseFacts[] = [];
    for (const [n, database] of options.databases.entries()) {
      context.emit({
        type: 'step',
        component: 'database',
        message: `counting and hashing the tables of database ${database}`,
      });
      const snapshot = await holdSnapshot(options.url, {
        database,
        lockWaitTimeoutMs: options.lockWaitTimeoutMs,
        signal: context.signal,
      });
      snapshots.push(snapshot);
      const { facts, commands, isThroughRoots } = await readDatabase(
        options,
        snapshot,
        `${String(n + 1).padStart(4, '0')}-`,
        context,
      );
      databases.push(facts);
      const dump: DumpContext = {
        ...options,
        tools,
        database,
        encoding: snapshot.connection.encoding,
        snapshot: snapshot.name,
        isThroughRoots,
        onWarning: (line) =>
          context.emit({ type: 'warning', component: 'database', message: `pg_dump of database ${database}: ${line}` }),
      };
      for (const command of commands) {
        sources.set(command.artifact, { bytes: command.bytes, open: () => dumped(command, dump, context.signal) });
      }
    }
    return { facts: { ...server, databases }, reader: readerOf(sources), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

const globalsName = 'globals.sql';

interface Source {
  /** About. */
  readonly bytes: number;
  readonly open: () => AsyncIterable<Uint8Array>;
}

function readerOf(sources: ReadonlyMap<string, Source>): ArtifactReader {
  return {
    artifacts: [...sources].map(([name, { bytes }]): ArtifactInfo => ({
      name,
      mediaType: name === globalsName ? 'application/sql' : 'application/vnd.postgresql.custom-dump',
      bytes,
    })),
    open: (name, range) => {
      const source = sources.get(name);
      if (source === undefined || range !== undefined) {
        throw new Error(`a running server has no ${range === undefined ? name : `part of ${name}`} to read`);
      }
      return source.open();
    },
  };
}

async function readServer(
  { url, programs, lockWaitTimeoutMs }: LiveDumpOptions,
  { signal }: RunContext,
): Promise<{ server: Omit<PostgresFacts, 'databases'>; tools: PostgresTools; globals: { readonly sql: Buffer } }> {
  return withConnection(url, { signal }, async (connection) => {
    const tools = await findTools(Math.floor(connection.serverVersionNum / 10_000), { folder: programs });
    const [row] = await connection.query("SELECT split_part(current_setting('server_version'), ' ', 1) AS version");
    const globals = await dumpGlobals(url, connection, tools, { lockWaitTimeoutMs, signal });
    const server = {
      serverVersion: row?.['version'] ?? '',
      serverVersionNum: connection.serverVersionNum,
      toolVersion: tools.version,
    };
    if (globals === undefined) return { server, tools, globals: { sql: Buffer.alloc(0) } };
    const { roles, withPasswords } = globals;
    return {
      server: { ...server, globals: { artifact: globalsName, roles: [...roles], withPasswords } },
      tools,
      globals,
    };
  });
}

async function readDatabase(
  options: LiveDumpOptions,
  { name, lsn, takenAt, connection }: Snapshot,
  prefix: string,
  context: RunContext,
): Promise<{ facts: DatabaseFacts; commands: readonly DumpCommand[]; isThroughRoots: boolean }> {
  const relations = await listRelations(connection);
  const parts: DumpParts = planParts(relations, options.bigTableBytes, prefix);
  const commands = dumpCommands(parts, await readOwnedSequences(connection));
  const catalog = await readCatalogFacts(connection);
  const readers: Connection[] = [];
  try {
    while (readers.length < Math.max(1, Math.min(options.jobs, relations.length))) {
      const reader = await openConnection(options.url, { database: connection.database, signal: context.signal });
      readers.push(reader);
      await joinSnapshot(reader, name);
    }
    const tables = await fingerprintRelations(readers, relations, {
      url: options.url,
      snapshot: name,
      toolFolder: options.programs,
      // Of a superuser; nobody else writes there.
      isAlone: true,
      signal: context.signal,
    });
    const artifacts = {
      schema: parts.schema,
      data: parts.data,
      tables: parts.tables.map((table) => ({ artifact: table.artifact, schema: table.schema, name: table.name })),
    };
    const facts = {
      ...catalog,
      snapshot: { name, ...(lsn === undefined ? {} : { lsn }), takenAt },
      artifacts,
      tables,
      ...tellUncounted(relations, tables, connection.database, context),
      largeObjects: await readLargeObjects(connection),
    };
    return { facts, commands, isThroughRoots: relations.some(({ movesWithin }) => movesWithin !== undefined) };
  } finally {
    await Promise.all(readers.map((reader) => reader.close()));
  }
}

async function joinSnapshot(reader: Connection, name: string): Promise<void> {
  await pinSettings(reader);
  await reader.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT ${quoteLiteral(name)}`);
}

/** The bytes of one archive; throws if pg_dump failed, also after its last byte. A reader that leaves early ends it. */
async function* dumped(
  command: DumpCommand,
  dump: DumpContext,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const left = new AbortController();
  const { stdout, done } = await startDump(command, dump, 'pipe', AbortSignal.any([signal, left.signal]));
  try {
    if (stdout !== null) for await (const piece of stdout) yield piece as Buffer;
    await done;
  } finally {
    left.abort(new Error('nobody reads it any more'));
    await done.catch(() => {});
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array, void, void> {
  yield bytes;
}
