/**
 * Logical backups of PostgreSQL: for each database a snapshot that pg_dump and our own counts share, in
 * standard archives: the schema, each big table, and the rest. Before them the roles of the server.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { leftEarly, type Artifact, type ComponentFacts, type Source, type SourceInfo } from '../../source.ts';
import { type Connection, withConnection } from '../server/connection.ts';
import { type DatabaseDump, openDatabaseDump } from './database-dump.ts';
import type { PostgresFacts } from '../facts/facts.ts';
import { dumpGlobals } from './globals.ts';
import { bareNamesProblem, findBareNames } from './bare-names.ts';
import { chooseDatabases, leftOutText } from './choose-databases.ts';
import { probeServer } from './probe.ts';
import { readSystemId } from '../server/control.ts';
import { quoteQualified } from '../server/quote.ts';
import { type PostgresTools, findTools } from '../server/tools.ts';
import { explainUnreadable } from './unreadable.ts';
import { namesFor } from './without-rows.ts';

export interface PostgresSourceOptions {
  readonly url: PostgresUrl;
  /** Names, or the single element "*": all that take connections but template1. */
  readonly databases: readonly string[];
  /** Streams side by side. */
  readonly jobs: number;
  /** Tables larger than this (on disk, with TOAST) get an archive of their own. */
  readonly bigTableBytes: number;
  /** How long it is tried to get all locks of a database. */
  readonly lockWaitTimeoutMs: number;
  /** Extensions whose functions in C may be run by queries, besides PostgreSQL's own. */
  readonly trustedExtensions?: readonly string[] | undefined;
  /** Begin anew whenever somebody wants to change a table; default false. */
  readonly yieldToDdl?: boolean | undefined;
  /** Tables whose rows are left out: schema.table (of each database), or database.schema.table. */
  readonly withoutRows?: readonly string[] | undefined;
  /** How long a pg_dump may take to begin; default ten minutes. */
  readonly hangTimeoutMs?: number | undefined;
  /** Folder of the client programs; default: found by the server's version. */
  readonly toolFolder?: string | undefined;
}

/** A source for one dump. `facts()` gives PostgresFacts. */
export function postgresSource(options: PostgresSourceOptions): Source {
  return new PostgresSource(options);
}

type ServerFacts = Omit<PostgresFacts, 'databases'>;

class PostgresSource implements Source {
  readonly kind = 'postgres';
  readonly #options: PostgresSourceOptions;
  readonly #dumps: DatabaseDump[] = [];
  #server: ServerFacts | undefined;
  #databases: readonly string[] = [];
  /** All that the tables without their rows may be called by. */
  readonly #leftOut = new Set<string>();
  #complete = false;

  constructor(options: PostgresSourceOptions) {
    this.#options = options;
  }

  probe(context: RunContext): Promise<SourceInfo> {
    return probeServer(this.#options, context.signal);
  }

  async *dump(context: RunContext, onHeld?: () => void): AsyncGenerator<Artifact, void, void> {
    // Whoever reads an artifact meanwhile is told the same.
    let reason: Error = leftEarly();
    try {
      const { tools, databases, server, globals } = await this.#begin(context);
      this.#server = server;
      this.#databases = databases;
      if (globals !== undefined) {
        yield { name: 'globals.sql', mediaType: 'application/sql', body: { from: 'stream', stream: once(globals) } };
      }
      for (const [i, database] of databases.entries()) {
        await this.#tellLost(database, context);
        const prefix = databases.length === 1 ? '' : `${String(i + 1).padStart(4, '0')}-`;
        const dump = await openDatabaseDump(
          { ...this.#options, database, tools, prefix, fingerprintJobs: Math.ceil(this.#options.jobs / 2) },
          context,
        );
        this.#dumps.push(dump);
        this.#tellLeftOut(database, dump, context);
        if (i === databases.length - 1) onHeld?.();
        yield* dump.artifacts;
      }
      this.#refuseUnknown();
      this.#complete = true;
    } catch (error) {
      if (error instanceof Error) reason = error;
      throw error;
    } finally {
      if (!this.#complete) await Promise.all(this.#dumps.map((dump) => dump.abandon(reason)));
    }
  }

  async facts(): Promise<ComponentFacts> {
    if (this.#server === undefined || !this.#complete) throw leftEarly();
    const databases = await Promise.all(this.#dumps.map((dump) => dump.facts)).catch(async (error: unknown) => {
      // One has failed: the others are of no use any more.
      await Promise.all(this.#dumps.map((dump) => dump.abandon(error instanceof Error ? error : leftEarly())));
      throw error;
    });
    const facts: PostgresFacts = { ...this.#server, databases };
    const flaws = this.#dumps.reduce((sum, { leftOut }) => sum + leftOut.length, 0);
    return { kind: 'postgres', facts, ...(flaws === 0 ? {} : { flaws }) };
  }

  async explain(error: unknown, { signal }: RunContext): Promise<unknown> {
    return explainUnreadable(error, this.#options.url, this.#databases, signal);
  }

  #tellLeftOut(database: string, { leftOut }: DatabaseDump, { emit }: RunContext): void {
    for (const table of leftOut) {
      namesFor(table, database).forEach((name) => this.#leftOut.add(name));
      const message = `the rows of ${quoteQualified(table.schema, table.name)} are left out; the backup is marked`;
      emit({ type: 'warning', component: 'postgres', message: `database ${database}: ${message}` });
    }
  }

  #refuseUnknown(): void {
    const unknown = (this.#options.withoutRows ?? []).find((name) => !this.#leftOut.has(name));
    if (unknown === undefined) return;
    throw new LifeboatError('usage', `no table to leave out is called "${unknown}"`, {
      state: 'no backup was recorded',
      hint: 'it is schema.table, or database.schema.table; of a partitioned table name the partitions',
    });
  }

  /** What no restore brings back; doctor tells of what lifeboat's own does, too. */
  async #tellLost(database: string, { signal, emit }: RunContext): Promise<void> {
    const found = await withConnection(this.#options.url, { database, signal }, findBareNames);
    for (const bare of found.filter(({ isLost }) => isLost)) {
      const { message, hint } = bareNamesProblem(bare);
      emit({ type: 'warning', component: 'postgres', message: `database ${database}: ${message} (${hint})` });
    }
  }

  async #begin(
    context: RunContext,
  ): Promise<{ tools: PostgresTools; databases: readonly string[]; server: ServerFacts; globals: Buffer | undefined }> {
    return withConnection(this.#options.url, { signal: AbortSignal.any([context.signal]) }, async (connection) => {
      const tools = await findTools(Math.floor(connection.serverVersionNum / 10000), {
        folder: this.#options.toolFolder,
      });
      const { url } = this.#options;
      const { names, leftOut } = await chooseDatabases(connection, this.#options.databases, url, context.signal);
      for (const each of leftOut) {
        // What is no data is for doctor and show: a warning each night would hide others.
        const type = each.isData ? 'warning' : 'step';
        context.emit({ type, component: 'postgres', message: leftOutText(each) });
      }
      const globals = await dumpGlobals(this.#options.url, connection, tools, {
        lockWaitTimeoutMs: this.#options.lockWaitTimeoutMs,
        signal: context.signal,
      });
      if (globals === undefined) {
        context.emit({
          type: 'warning',
          component: 'postgres',
          message: 'roles and tablespaces are not in this backup: the user may not read them',
        });
      }
      const server = {
        ...(await readServerFacts(connection, tools)),
        ...(leftOut.length === 0 ? {} : { leftOut: [...leftOut] }),
      };
      if (globals === undefined) return { tools, databases: names, server, globals };
      const { roles, withPasswords } = globals;
      return {
        tools,
        databases: names,
        server: { ...server, globals: { artifact: 'globals.sql', roles: [...roles], withPasswords } },
        globals: globals.sql,
      };
    });
  }
}

async function readServerFacts(connection: Connection, tools: PostgresTools): Promise<ServerFacts> {
  const [row] = await connection.query("SELECT current_setting('server_version') AS version");
  const systemIdentifier = await readSystemId(connection);
  const serverVersion = row?.['version']?.split(' ')[0];
  if (serverVersion === undefined) {
    throw new LifeboatError('source', `PostgreSQL at ${connection.server} does not tell its version`);
  }
  return {
    serverVersion,
    serverVersionNum: connection.serverVersionNum,
    ...(systemIdentifier === undefined ? {} : { systemIdentifier }),
    toolVersion: tools.version,
  };
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array, void, void> {
  yield bytes;
}
