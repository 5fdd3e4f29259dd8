/**
 * Throwaway PostgreSQL clusters for tests: initdb into a temporary folder, a Unix socket in it (and a
 * TCP port when asked), nothing durable, everything gone after stop().
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningTool, runTool, startTool } from '../../../src/lib/exec.ts';
import { programsOf, versionUnderTest } from '../versions/server-versions.ts';

export interface PostgresOptions {
  /** Lines of postgresql.conf; they win over the helper's own. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Major version, installed or fetched by setup; default: the one under test, else the newest installed. */
  readonly version?: number;
  /** E.g. ['--encoding=UTF8', '--locale=C']. Default: UTF8 and C.UTF-8. */
  readonly initdbArgs?: readonly string[];
  /** Listen on 127.0.0.1 too: a port, or 0 for a free one. Default: only the socket. */
  readonly port?: number;
  /** With a password of the superuser `postgres` every connection needs one (SCRAM); default: trust. */
  readonly password?: string;
}

/** Values as PostgreSQL writes them. */
export type TextRow = Readonly<Record<string, string | null>>;

export interface TestPostgres {
  /** A URL by way of the socket (or of TCP where a port was asked for), with the password if there is one. */
  url(database?: string, user?: string, password?: string): string;
  readonly socketDir: string;
  readonly port: number;
  readonly dataDir: string;
  /** Folder of the server's own programs (pg_dump, psql, …). */
  readonly binDir: string;
  readonly pid: number;
  /** PG* variables for tools, by way of the socket as superuser. */
  readonly env: Readonly<Record<string, string>>;
  /** One connection, one simple query (several statements are fine: the last result's rows). */
  query(database: string, sql: string): Promise<TextRow[]>;
  /** Runs a script by psql, failing on the first error; returns what it printed (unaligned, tuples only). */
  psql(database: string, script: string): Promise<string>;
  /** Fast shutdown and removal of all folders; safe to call twice. */
  stop(): Promise<void>;
  /** SIGKILL to the server and its backends; start() brings it back (crash recovery). */
  kill(): Promise<void>;
  /** Starts the stopped or killed server again on the same data. */
  start(): Promise<void>;
}

/** Starts a cluster; superuser `postgres`. Call stop() at the end. */
export async function startPostgres(options: PostgresOptions = {}): Promise<TestPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'lbpg-'));
  const owner = serverUser();
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid);
  chmodSync(folder, 0o755);
  const cluster = new Cluster(
    folder,
    binFolder(options.version),
    options,
    owner,
    options.port === 0 ? await freePort() : (options.port ?? 5432),
  );
  try {
    await cluster.init();
    await cluster.start();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

class Cluster implements TestPostgres {
  readonly socketDir: string;
  readonly dataDir: string;
  readonly binDir: string;
  readonly port: number;
  readonly #folder: string;
  readonly #options: PostgresOptions;
  readonly #owner: { uid: number; gid: number } | undefined;
  #server: RunningTool | undefined;

  constructor(
    folder: string,
    binDir: string,
    options: PostgresOptions,
    owner: { uid: number; gid: number } | undefined,
    port: number,
  ) {
    this.#folder = folder;
    this.socketDir = folder;
    this.dataDir = join(folder, 'data');
    this.binDir = binDir;
    this.#options = options;
    this.#owner = owner;
    this.port = port;
  }

  get pid(): number {
    return this.#server?.pid ?? 0;
  }

  get env(): Record<string, string> {
    const password = this.#options.password;
    return {
      PGHOST: this.socketDir,
      PGPORT: String(this.port),
      PGUSER: 'postgres',
      ...(password === undefined ? {} : { PGPASSWORD: password }),
    };
  }

  url(
    database = 'postgres',
    user = 'postgres',
    password = user === 'postgres' ? this.#options.password : undefined,
  ): string {
    const host = this.#options.port === undefined ? encodeURIComponent(this.socketDir) : '127.0.0.1';
    const login = encodeURIComponent(user) + (password === undefined ? '' : `:${encodeURIComponent(password)}`);
    return `postgres://${login}@${host}:${this.port}/${encodeURIComponent(database)}`;
  }

  async init(): Promise<void> {
    const passwordFile = join(this.#folder, 'pw');
    const { password } = this.#options;
    if (password !== undefined) writeFileSync(passwordFile, `${password}\n`);
    const auth = password === undefined ? ['--auth=trust'] : ['--auth=scram-sha-256', `--pwfile=${passwordFile}`];
    const locale = this.#options.initdbArgs ?? ['--encoding=UTF8', '--locale=C.UTF-8'];
    await this.#run('initdb', ['-D', this.dataDir, '-U', 'postgres', '--no-sync', ...auth, ...locale]);
    const settings = {
      listen_addresses: this.#options.port === undefined ? '' : '127.0.0.1',
      port: String(this.port),
      unix_socket_directories: this.socketDir,
      fsync: 'off',
      full_page_writes: 'off',
      synchronous_commit: 'off',
      max_connections: '60',
      max_wal_size: '4GB',
      ...this.#options.settings,
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
    writeFileSync(join(this.dataDir, 'postgresql.auto.conf'), lines.join(''));
    if (this.#owner !== undefined) {
      chownSync(join(this.dataDir, 'postgresql.auto.conf'), this.#owner.uid, this.#owner.gid);
    }
  }

  async start(): Promise<void> {
    let log = '';
    this.#server = await startTool({
      file: join(this.binDir, 'postgres'),
      args: ['-D', this.dataDir],
      ...this.#owner,
      stdout: 'ignore',
      onStderrLine: (line) => (log = `${log}${line}\n`.slice(-4000)),
    });
    let ended = false;
    this.#server.result.catch(() => {}).finally(() => (ended = true));
    for (let tries = 0; !isReady(this.dataDir, this.#server.pid); tries++) {
      if (ended || tries > 1500) throw new Error(`the test server did not start: ${log}`);
      await sleep(20);
    }
  }

  async query(database: string, sql: string): Promise<TextRow[]> {
    const { Client } = (await import('pg')).default;
    const { password } = this.#options;
    const client = new Client({
      host: this.socketDir,
      port: this.port,
      user: 'postgres',
      database,
      password,
      types: { getTypeParser: () => (value: string) => value },
    });
    client.on('error', () => {});
    await client.connect();
    try {
      const result = (await client.query(sql)) as unknown as { rows: TextRow[] } | { rows: TextRow[] }[];
      return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? [];
    } finally {
      await client.end();
    }
  }

  async psql(database: string, script: string): Promise<string> {
    const env = { ...this.env, PGCLIENTENCODING: 'UTF8', PGOPTIONS: '-c client_min_messages=warning' };
    const psql = await startTool({
      file: join(this.binDir, 'psql'),
      args: ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', database],
      env,
      stdin: 'pipe',
    });
    psql.stdin?.end(script);
    return (await psql.result).stdout;
  }

  async stop(): Promise<void> {
    // Immediate shutdown: nothing of it is needed again, and it waits for nobody.
    this.#server?.kill('SIGQUIT');
    await this.#server?.result.catch(() => {});
    this.#server = undefined;
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async kill(): Promise<void> {
    const backends = this.#server === undefined ? [] : childrenOf(this.#server.pid);
    this.#server?.kill('SIGKILL');
    for (const pid of backends) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended with the server.
      }
    }
    await this.#server?.result.catch(() => {});
    this.#server = undefined;
  }

  async #run(program: string, args: readonly string[]): Promise<void> {
    await runTool({ file: join(this.binDir, program), args, ...this.#owner, cwd: this.#folder });
  }
}

/** PostgreSQL refuses to run as root; it needs a user with a passwd entry. */
function serverUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const [, , uid, gid] =
    readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((line) => line.startsWith('nobody:'))
      ?.split(':') ?? [];
  return { uid: Number(uid ?? 65534), gid: Number(gid ?? 65534) };
}

/** Folder of the programs of a major version. */
function binFolder(version: number | undefined): string {
  const installed = '/usr/lib/postgresql';
  const underTest = versionUnderTest('postgres');
  if (version === undefined && underTest !== undefined) return programsOf(underTest);
  const major = version ?? Math.max(...readdirSync(installed).map(Number).filter(Number.isInteger));
  const folder = join(installed, String(major), 'bin');
  return existsSync(folder) ? folder : programsOf(`postgres-${major}`);
}

function isReady(dataDir: string, pid: number): boolean {
  try {
    const lines = readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n');
    return Number(lines[0]) === pid && /^(ready|standby)/.test(lines[7] ?? '');
  } catch {
    return false;
  }
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

/** A port that nobody listened on a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A fresh folder under the temporary one that the server's user may write to (tablespaces). */
export function serverFolder(server: TestPostgres, name: string): string {
  const path = join(server.socketDir, name);
  mkdirSync(path);
  const owner = serverUser();
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
  return path;
}
