/**
 * Runs a server that recovers a restored base backup: on a private socket, with settings of ours only,
 * until it has reached its target; then reads every table, and promotes it or leaves it.
 */
import { readFileSync } from 'node:fs';
import { chown, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { runTool, startTool } from '../../../lib/exec.ts';
import { processStart, rememberProcess } from '../../../lib/leftovers.ts';
import { Secret } from '../../../lib/secret.ts';
import type { BaseFacts } from '../base/facts.ts';
import type { FolderOwner } from '../base/placer.ts';
import { type Connection, withConnection } from '../server/connection.ts';
import { libpqEnvironment } from '../server/url.ts';

export interface RecoveryOptions {
  readonly dataDir: string;
  /** Private, reachable for the owner, short enough for a socket. */
  readonly folder: string;
  readonly owner: FolderOwner | undefined;
  /** Folder of the server's programs. */
  readonly programs: string;
  readonly facts: Pick<BaseFacts, 'minima' | 'serverVersionNum' | 'superuser'>;
  readonly restoreCommand: string;
  /** recovery_target* settings, e.g. { recovery_target_time: '…' }. */
  readonly target: Readonly<Record<string, string>>;
}

export interface RecoveryPosition {
  readonly lsn: string;
  readonly lastCommitAt: string | undefined;
}

export interface RecoveringServer {
  readonly pid: number;
  readonly url: Secret;
  readonly logFile: string;
  /** Resolves once it takes sessions, for a server that has nothing to recover. */
  ready(context: RunContext): Promise<void>;
  /**
   * Resolves once the target is reached: the line of the server's log that says so. Throws `window` (17) if the WAL
   * ended before, else `source` (13).
   */
  reached(context: RunContext, onPosition?: (lsn: string) => void): Promise<string>;
  /**
   * How far the log was replayed, and when the last transaction in it was committed (RFC 3339, UTC, microseconds), if
   * there was one.
   */
  position(): Promise<RecoveryPosition>;
  /** By the server's log: where the last record that it replayed begins. */
  replayedTo(): string | undefined;
  /**
   * Reads all rows of all tables; names of the databases. A server that is held at its target may have locked some:
   * those are told in a warning.
   */
  readAll(context: RunContext): Promise<string[]>;
  promote(signal?: AbortSignal): Promise<void>;
  /** Clean; rejects if it takes longer than ten minutes. */
  shutDown(signal?: AbortSignal): Promise<void>;
  /** Ends it at once. */
  kill(): Promise<void>;
  /** It may outlive this process. */
  release(): void;
}

export async function startRecovery(options: RecoveryOptions): Promise<RecoveringServer> {
  const { folder, owner, programs, dataDir } = options;
  const logFile = join(folder, 'server.log');
  const configFile = join(folder, 'recovery.conf');
  const files = {
    [configFile]: settings(options),
    [join(folder, 'hba.conf')]: 'local all all trust\n',
    [join(folder, 'ident.conf')]: '',
    [logFile]: '',
  };
  for (const [path, text] of Object.entries(files)) {
    await writeFile(path, text, { mode: 0o600 });
    if (owner !== undefined) await chown(path, owner.uid, owner.gid);
  }
  // Not our child: it may be left running. The shell tells its process id and ends.
  const { stdout } = await (
    await startTool({
      file: '/bin/sh',
      args: [
        '-c',
        '"$1" -D "$2" -c config_file="$3" </dev/null >/dev/null 2>>"$4" & echo $!',
        'sh',
        join(programs, 'postgres'),
        dataDir,
        configFile,
        logFile,
      ],
      cwd: folder,
      detached: true,
      ...owner,
    })
  ).result;
  return new Server(Number(stdout), logFile, options);
}

function settings({ folder, facts, restoreCommand, target }: RecoveryOptions): string {
  const major = Math.floor(facts.serverVersionNum / 10000);
  const all: Record<string, string> = {
    ...facts.minima,
    listen_addresses: '',
    unix_socket_directories: folder,
    unix_socket_permissions: '0700',
    port: '5432',
    hba_file: join(folder, 'hba.conf'),
    ident_file: join(folder, 'ident.conf'),
    hot_standby: 'on',
    // A clone that archives would write into the history of the original.
    archive_mode: 'off',
    autovacuum: 'off',
    logging_collector: 'off',
    log_min_messages: 'info',
    restore_command: restoreCommand,
    ...(major >= 15 ? { recovery_prefetch: 'off' } : {}),
    ...target,
    recovery_target_action: 'pause',
  };
  return Object.entries(all)
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
    .join('');
}

class Server implements RecoveringServer {
  readonly pid: number;
  readonly url: Secret;
  readonly logFile: string;
  readonly #options: RecoveryOptions;
  readonly #start: string | undefined;
  readonly #remembered: Disposable;

  constructor(pid: number, logFile: string, options: RecoveryOptions) {
    this.pid = pid;
    this.logFile = logFile;
    this.#options = options;
    this.#start = processStart(pid);
    this.#remembered = rememberProcess(pid, 'SIGQUIT');
    this.url = new Secret(
      `postgres://${encodeURIComponent(options.facts.superuser)}@${encodeURIComponent(options.folder)}:5432/postgres`,
    );
  }

  get #isRunning(): boolean {
    return this.#start !== undefined && processStart(this.pid) === this.#start;
  }

  async reached(context: RunContext, onPosition?: (lsn: string) => void): Promise<string> {
    for (let askedMs = performance.now(); ;) {
      context.signal.throwIfAborted();
      const log = readFileSync(this.logFile, 'utf8');
      if (/insufficient parameter settings/.test(log)) throw this.#failed(log);
      if ((await this.#status()).startsWith('ready')) {
        const stopped = /LOG: {2}(recovery stopping [^\n]*|archive recovery complete)/.exec(log)?.[1];
        if (stopped !== undefined && (await this.#isStill(context))) return stopped;
        if (onPosition !== undefined && performance.now() - askedMs > 1000) {
          askedMs = performance.now();
          await this.position().then(
            ({ lsn }) => onPosition(lsn),
            () => {},
          );
        }
      }
      if (!this.#isRunning) throw this.#failed(readFileSync(this.logFile, 'utf8'));
      await sleep(50);
    }
  }

  replayedTo(): string | undefined {
    return replayedTo(readFileSync(this.logFile, 'utf8'));
  }

  async ready({ signal }: RunContext): Promise<void> {
    while (!(await this.#status()).startsWith('ready')) {
      signal.throwIfAborted();
      if (!this.#isRunning) throw this.#failed(readFileSync(this.logFile, 'utf8'));
      await sleep(50);
    }
  }

  /** As the server has it in its postmaster.pid. */
  async #status(): Promise<string> {
    const lines = (await readFile(join(this.#options.dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
    return Number(lines[0]) === this.pid ? (lines[7] ?? '') : '';
  }

  async #isStill({ signal, emit }: RunContext): Promise<boolean> {
    return withConnection(this.url, { signal }, async (connection) => {
      const [row] = await connection.query(
        'SELECT CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE true END AS still, ' +
          'pg_is_in_recovery() AS recovering',
      );
      emit({
        type: 'debug',
        component: 'base',
        message: `recovering: ${row?.['recovering']}, at rest: ${row?.['still']}`,
      });
      return row?.['still'] === 't';
    }).catch((error: unknown) => {
      // It may be on its way from one state to the next.
      if (this.#isRunning) return false;
      throw error;
    });
  }

  #failed(log: string): LifeboatError {
    const last =
      log
        .split('\n')
        .filter((line) => /FATAL|PANIC|insufficient|invalid value|unrecognized/.test(line))
        .slice(-3)
        .join('; ') || log.trim().split('\n').slice(-3).join('; ');
    if (/recovery ended before configured recovery target was reached/.test(log)) {
      return new LifeboatError('window', 'the archived WAL ends before the target', {
        facts: { log: last, replayedTo: replayedTo(log) },
      });
    }
    return new LifeboatError('source', `the recovering server has ended: ${last}`, {
      hint: /could not load library|could not access file/.test(log)
        ? 'install the extensions that the cluster uses'
        : undefined,
    });
  }

  async readAll({ signal, emit }: RunContext): Promise<string[]> {
    const rows = await withConnection(this.url, { signal }, async (connection: Connection) =>
      connection.query('SELECT datname AS name FROM pg_database WHERE datallowconn ORDER BY 1'),
    );
    const names = rows.map((row) => row['name'] ?? '');
    for (const database of names) {
      emit({ type: 'step', component: 'base', message: `reading every table of database ${database}` });
      const locked = await this.#locked(database, signal);
      if (locked.length > 0) {
        emit({
          type: 'warning',
          component: 'base',
          message:
            `not read in database ${database}: ` +
            `${locked.slice(0, 5).join(', ')}${locked.length > 5 ? ` and ${locked.length - 5} more` : ''}, which a ` +
            'transaction that had not ended at that moment has locked; a promotion ends it',
        });
      }
      const excluded = locked.map((name) => `--exclude-table=${name}`);
      await runTool({
        file: join(this.#options.programs, 'pg_dump'),
        args: [
          '--format=custom',
          '--compress=0',
          '--no-password',
          '--no-unlogged-table-data',
          '--lock-wait-timeout=60000',
          ...excluded,
        ],
        stdout: 'ignore',
        env: libpqEnvironment(this.url, { database }),
        signal,
      });
    }
    return names;
  }

  /**
   * Quoted names: while the replay is held, transactions in it hold the locks that they had. Whoever wants such a table
   * would wait for ever.
   */
  async #locked(database: string, signal: AbortSignal): Promise<string[]> {
    const sql =
      "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_locks l JOIN pg_class c ON c.oid = l.relation " +
      "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE pg_is_in_recovery() AND l.locktype = 'relation' AND " +
      "l.mode = 'AccessExclusiveLock' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = " +
      "current_database()) AND c.relkind IN ('r', 'p', 'm', 'S') ORDER BY 1";
    return withConnection(this.url, { database, signal }, async (connection) =>
      (await connection.query(sql)).map((row) => row['name'] ?? ''),
    );
  }

  async position(): Promise<RecoveryPosition> {
    return withConnection(this.url, {}, async (connection) => {
      const [row] = await connection.query(
        "SELECT pg_last_wal_replay_lsn() AS lsn, to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', " +
          '\'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') AS at',
      );
      return { lsn: row?.['lsn'] ?? '0/0', lastCommitAt: row?.['at'] ?? undefined };
    });
  }

  async promote(signal?: AbortSignal): Promise<void> {
    await withConnection(this.url, { signal }, async (connection) => {
      const [row] = await connection.query(
        'SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(true, 600) ELSE true END AS done',
      );
      if (row?.['done'] !== 't') {
        throw new LifeboatError('source', 'the recovered server was not promoted within ten minutes');
      }
      await connection.query('CHECKPOINT');
    });
  }

  async shutDown(signal?: AbortSignal): Promise<void> {
    await this.#end('SIGINT', 600_000, signal);
  }

  async kill(): Promise<void> {
    await this.#end('SIGQUIT', 10_000).catch(async () => this.#end('SIGKILL', 10_000));
  }

  release(): void {
    this.#remembered[Symbol.dispose]();
  }

  async #end(how: NodeJS.Signals, limitMs: number, signal?: AbortSignal): Promise<void> {
    if (this.#isRunning) process.kill(this.pid, how);
    for (const giveUpAt = performance.now() + limitMs; this.#isRunning; await sleep(20)) {
      signal?.throwIfAborted();
      if (performance.now() > giveUpAt) {
        throw new LifeboatError(
          'source',
          `the recovered server (process ${this.pid}) did not end within ${limitMs / 1000} s`,
        );
      }
    }
    this.#remembered[Symbol.dispose]();
  }
}

function replayedTo(log: string): string | undefined {
  return /redo done at ([0-9A-F]+\/[0-9A-F]+)/.exec(log)?.[1];
}
