/**
 * Runs a server that recovers a restored base backup: on a private socket, with settings of ours only,
 * until it has reached its target; then reads every table, and promotes it or leaves it.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { withConnection } from '../server/connection.ts';
import type { Quarters } from './quarters.ts';
import { peerAccess } from './peer-access.ts';
import { readAllTables } from './read-all.ts';
import { failureOf, isReady, replayedTo, stopOf } from './recovery-log.ts';
import { startLasting, startThrowaway, type RecoveryProcess } from './recovery-process.ts';
import { recoverySettings, type RecoverySettings } from './recovery-settings.ts';
import { scratchUrl } from './scratch-url.ts';

export interface RecoveryOptions extends Omit<RecoverySettings, 'run'> {
  readonly quarters: Quarters;
  readonly dataDir: string;
  /** Folder of the server's programs. */
  readonly programs: string;
  /** It is gone with us, and runs in the isolation of its quarters; else it may be left running, as their owner. */
  readonly isThrowaway: boolean;
}

export interface RecoveryPosition {
  readonly lsn: string;
  readonly lastCommitAt: string | undefined;
}

export interface RecoveringServer {
  /** Of the server, or of the sandbox that it runs in. */
  readonly pid: number;
  readonly url: PostgresUrl;
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
  const { quarters, programs, dataDir, isThrowaway } = options;
  const access = peerAccess(options.facts.superuser, quarters.isolation, !isThrowaway);
  const config = await quarters.configure(recoverySettings({ ...options, run: quarters.run }), access);
  const args = ['-D', dataDir, ...config];
  const start = isThrowaway ? startThrowaway : startLasting;
  return new Server(await start(join(programs, 'postgres'), args, quarters), options);
}

class Server implements RecoveringServer {
  readonly pid: number;
  readonly url: PostgresUrl;
  readonly #process: RecoveryProcess;
  readonly #options: RecoveryOptions;
  #isReachable = false;

  constructor(process: RecoveryProcess, options: RecoveryOptions) {
    this.pid = process.pid;
    this.#process = process;
    this.#options = options;
    this.url = scratchUrl(options.quarters.folder, options.facts.superuser);
  }

  async reached(context: RunContext, onPosition?: (lsn: string) => void): Promise<string> {
    for (let askedMs = performance.now(); ;) {
      context.signal.throwIfAborted();
      const log = this.#process.log();
      if (/insufficient parameter settings/.test(log)) throw failureOf(log);
      if (await this.#isReady(log)) {
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
      if (!this.#process.isRunning()) throw failureOf(this.#process.log());
      await sleep(50);
    }
  }

  replayedTo(): string | undefined {
    return replayedTo(this.#process.log());
  }

  async ready({ signal }: RunContext): Promise<void> {
    while (!(await this.#isReady(this.#process.log()))) {
      signal.throwIfAborted();
      if (!this.#process.isRunning()) throw failureOf(this.#process.log());
      await sleep(50);
    }
  }

  /** By its log: what lies in its data directory is no longer ours. */
  async #isReady(log: string): Promise<boolean> {
    if (this.#isReachable || !isReady(log)) return this.#isReachable;
    await this.#options.quarters.reachSocket();
    return (this.#isReachable = true);
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
      if (this.#process.isRunning()) return false;
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
    await this.#process.shutDown(signal);
  }

  async kill(): Promise<void> {
    await this.#process.kill();
  }

  release(): void {
    this.#process.release();
  }
}
