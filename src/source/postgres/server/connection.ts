/**
 * Our own sessions on a server, by `pg`. Values come as PostgreSQL's text, never converted; time-outs
 * that would end a long snapshot are switched off; a session that dies says so through a signal, so
 * that nobody goes on trusting a snapshot that is gone.
 */
import type { Client } from 'pg';
import type { ConnectionOptions } from 'node:tls';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { poolerBetween, sourceError, sqlStateOf } from './connection-errors.ts';
import { startupOptions } from './libpq.ts';
import { findPassword } from './passfile.ts';
import { changingDefaults, sessionSettings } from './session-settings.ts';
import { tlsAttempts } from './tls.ts';

/** Column name → value as PostgreSQL writes it (booleans: t, f). */
export type Row = Readonly<Record<string, string | null>>;

export interface Connection extends AsyncDisposable {
  /**
   * Rows of one statement; without values several statements may stand there, the last one's rows count. Throws
   * `source` (13), SQLSTATE by sqlStateOf().
   */
  query(sql: string, values?: readonly (string | null)[]): Promise<Row[]>;
  /** Aborted, with the reason, when the session is lost before it was closed. */
  readonly lost: AbortSignal;
  readonly database: string;
  /** E.g. 150018. */
  readonly serverVersionNum: number;
  /** server_encoding, e.g. UTF8. */
  readonly encoding: string;
  /** What the server told at the start; differs from pg_backend_pid() behind a pooler. */
  readonly announcedPid: number | undefined;
  /** "host:port, database x": for messages. */
  readonly server: string;
  close(): Promise<void>;
}

export interface ConnectionSettings {
  /** Default: the URL's. */
  readonly database?: string | undefined;
  /** Aborting closes the session. */
  readonly signal?: AbortSignal | undefined;
  /** Default 30 s. */
  readonly connectTimeoutMs?: number | undefined;
  /** Default false. True: nothing that a database, a role or the server sets keeps it from changing something. */
  readonly changes?: boolean | undefined;
}

/** Runs `work` with a session that is closed afterwards. */
export async function withConnection<T>(
  url: PostgresUrl,
  settings: ConnectionSettings,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  await using connection = await openConnection(url, settings);
  return await work(connection);
}

/** Opens a session; the caller closes it. Throws `source` (13) with a hint when that fails. */
export async function openConnection(url: PostgresUrl, settings: ConnectionSettings = {}): Promise<Connection> {
  settings.signal?.throwIfAborted();
  const target = settings.database === undefined ? url : url.withDatabase(settings.database);
  const server = target.describe();
  try {
    const client = await connectFirst(target, settings);
    const session = new Session(client, target.database, server, settings.signal);
    await session.prepare();
    if (settings.signal?.aborted === true) await session.close();
    settings.signal?.throwIfAborted();
    return session;
  } catch (error) {
    settings.signal?.throwIfAborted();
    throw sourceError(`cannot connect to PostgreSQL at ${server}`, error);
  }
}

/** Tries with and without TLS as sslmode has it; the first failure is the one that counts. */
async function connectFirst(target: PostgresUrl, settings: ConnectionSettings): Promise<Client> {
  const password = await findPassword(target);
  let failure: Error | undefined;
  for (const ssl of await tlsAttempts(target)) {
    try {
      return await connect(target, password, ssl, settings);
    } catch (error) {
      failure ??= error instanceof Error ? error : new Error(String(error));
      if (!mayPassOtherwise(error)) break;
      // "prefer": a server without TLS says so; what counts then is the try without.
      if (/does not support SSL/.test(String(error))) failure = undefined;
    }
  }
  throw failure ?? new Error('The server does not support SSL connections');
}

/** The server refused TLS, or refused this user with (or without) it. */
function mayPassOtherwise(error: unknown): boolean {
  return (
    /does not support SSL|establishing an SSL/.test(String(error)) || (error as { code?: unknown }).code === '28000'
  );
}

async function connect(
  target: PostgresUrl,
  password: string | undefined,
  ssl: ConnectionOptions | false,
  { connectTimeoutMs = 30_000, changes = false }: ConnectionSettings,
): Promise<Client> {
  const { Client } = (await import('pg')).default;
  const client = new Client({
    host: target.address,
    port: target.port,
    user: target.user,
    database: target.database,
    // A function keeps `pg` from looking for a password in the environment.
    password: () => password as string,
    ssl,
    application_name: 'lifeboat',
    options: startupOptions(target, changes ? changingDefaults : []),
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    types: { getTypeParser: () => (value: string) => value },
  });
  // Until Session takes over, connect() itself reports what went wrong.
  client.on('error', () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

class Session implements Connection {
  readonly #client: Client;
  readonly #lost = new AbortController();
  readonly #stopListening: () => void;
  readonly database: string;
  readonly server: string;
  serverVersionNum = 0;
  encoding = '';
  #closed = false;

  constructor(client: Client, database: string, server: string, signal: AbortSignal | undefined) {
    this.#client = client;
    this.database = database;
    this.server = server;
    client.on('error', (error) => this.#lose(error));
    client.on('end', () => this.#lose(new Error('the connection was closed')));
    const abort = (): void => void this.#abandon();
    signal?.addEventListener('abort', abort, { once: true });
    this.#stopListening = () => signal?.removeEventListener('abort', abort);
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get announcedPid(): number | undefined {
    return (this.#client as unknown as { processID: number | null }).processID ?? undefined;
  }

  async prepare(): Promise<void> {
    try {
      await this.#pinSearchPath();
      const names = Object.entries(sessionSettings).map(([name, value]) => `('${name}', '${value}')`);
      const rows = await this.query(
        `SELECT pg_catalog.current_setting('server_version_num') AS version,
           pg_catalog.current_setting('server_encoding') AS encoding,
           (SELECT pg_catalog.count(pg_catalog.set_config(s.name, v.value, false)) FROM pg_catalog.pg_settings s
             JOIN (VALUES ${names.join(', ')}) v(name, value) ON s.name OPERATOR(pg_catalog.=) v.name) AS changed`,
      );
      this.serverVersionNum = Number(rows[0]?.['version']);
      this.encoding = rows[0]?.['encoding'] ?? '';
      if (this.encoding === 'SQL_ASCII') await this.query('SET client_encoding = SQL_ASCII');
      // So that a query of ours ends soon after we are gone; not every platform can do it.
      if (this.serverVersionNum >= 140000) {
        await this.query("SET client_connection_check_interval = '2s'").catch(() => {});
      }
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * A pooler may drop what the startup packet asks, and then give each transaction another session. So the first
   * statements are bare calls of PostgreSQL's own functions, in which nothing is looked up, and what they find counts.
   */
  async #pinSearchPath(): Promise<void> {
    const [row] = await this.query("SELECT pg_catalog.current_setting('search_path') AS path");
    if (row?.['path'] !== 'pg_catalog') throw poolerBetween(this.server);
    await this.query("SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)");
  }

  async query(sql: string, values?: readonly (string | null)[]): Promise<Row[]> {
    this.#lost.signal.throwIfAborted();
    try {
      const result = (await (values === undefined ? this.#client.query(sql) : this.#client.query(sql, [...values]))) as
        | { rows: Row[] }
        | { rows: Row[] }[];
      return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? [];
    } catch (error) {
      const isAnswer = sqlStateOf(error) !== undefined;
      const act = isAnswer ? `PostgreSQL at ${this.server} refused a query` : `lost the connection to ${this.#place}`;
      throw sourceError(act, error);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopListening();
    await this.#client.end().catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Does not wait for a running query: the server ends it when it sees the socket gone. */
  async #abandon(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    (this.#client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    await this.#client.end().catch(() => {});
  }

  #lose(error: Error): void {
    if (this.#closed || this.#lost.signal.aborted) return;
    this.#lost.abort(sourceError(`lost the connection to ${this.#place}`, error));
  }

  get #place(): string {
    return `PostgreSQL at ${this.server}`;
  }
}
