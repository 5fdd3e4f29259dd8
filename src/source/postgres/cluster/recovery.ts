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
import { startTool } from '../../../lib/exec.ts';
import { rememberProcess } from '../../../lib/leftovers.ts';
import { processStart } from '../../../lib/process-identity.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { FolderOwner } from '../base/placer.ts';
import { withConnection } from '../server/connection.ts';
import { readAllTables } from './read-all.ts';
import { failureOf, replayedTo, stopOf } from './recovery-log.ts';
import { recoverySettings, type RecoverySettings } from './recovery-settings.ts';
import { scratchUrl } from './scratch-url.ts';

export interface RecoveryOptions extends RecoverySettings {
  readonly dataDir: string;
  readonly owner: FolderOwner | undefined;
  /** Folder of the server's programs. */
  readonly programs: string;
}

export interface RecoveryPosition {
  readonly lsn: string;
  readonly lastCommitAt: string | undefined;
}

export interface RecoveringServer {
  readonly pid: number;
  readonly url: PostgresUrl;
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
    [configFile]: recoverySettings(options),
    [join(folder, 'hba.conf')]: 'local all all trust\n',
    [join(folder, 'ident.conf')]: '',
    [logFile]: '',
  };
  for (const [path, text] of Object.entries(files)) {
    await writeFile(path, text, { mode: 0o600 });
    if (owner !== undefined) await chown(path, owner.uid, owner.gid);
  }
  // Not our child: it may be left running. The shell tells its process id and ends.
  const command = '"$1" -D "$2" -c config_file="$3" </dev/null >/dev/null 2>>"$4" & echo $!';
  const args = ['-c', command, 'sh', join(programs, 'postgres'), dataDir, configFile, logFile];
  const shell = await startTool({ file: '/bin/sh', args, cwd: folder, detached: true, ...owner });
  const { stdout } = await shell.result;
  return new Server(Number(stdout), logFile, options);
}

class Server implements RecoveringServer {
  readonly pid: number;
  readonly url: PostgresUrl;
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
    this.url = scratchUrl(options.folder, options.facts.superuser);
  }

  get #isRunning(): boolean {
    return this.#start !== undefined && processStart(this.pid) === this.#start;
  }

  async reached(context: RunContext, onPosition?: (lsn: string) => void): Promise<string> {
    for (let askedMs = performance.now(); ;) {
      context.signal.throwIfAborted();
      const log = readFileSync(this.logFile, 'utf8');
      if (/insufficient parameter settings/.test(log)) throw failureOf(log);
      if ((await this.#status()).startsWith('ready')) {
        const stopped = stopOf(log);
        if (stopped !== undefined && (await this.#isStill(context))) return stopped;
        if (onPosition !== undefined && performance.now() - askedMs > 1000) {
          askedMs = performance.now();
          await this.position().then(
            ({ lsn }) => onPosition(lsn),
            () => {},
          );
        }
      }
      if (!this.#isRunning) throw failureOf(readFileSync(this.logFile, 'utf8'));
      await sleep(50);
    }
  }

  replayedTo(): string | undefined {
    return replayedTo(readFileSync(this.logFile, 'utf8'));
  }

  async ready({ signal }: RunContext): Promise<void> {
    while (!(await this.#status()).startsWith('ready')) {
      signal.throwIfAborted();
      if (!this.#isRunning) throw failureOf(readFileSync(this.logFile, 'utf8'));
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

  async readAll(context: RunContext): Promise<string[]> {
    return readAllTables(this.url, this.#options.programs, context);
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
