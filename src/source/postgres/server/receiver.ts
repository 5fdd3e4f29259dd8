/**
 * Receives the write-ahead log of a running server by pg_receivewal, over a physical replication slot, into a
 * folder. The slot keeps on the server whatever has not come into the folder as a whole segment, so a receiver
 * that is away loses nothing. Without a slot pg_receivewal would begin at the present and leave a gap in silence.
 */
import { join } from 'node:path';
import { LifeboatError } from '../../../lib/errors.ts';
import { startTool, ToolError } from '../../../lib/exec.ts';
import { rememberProcess } from '../../../lib/leftovers.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { sqlStateOf } from './connection-errors.ts';
import { withConnection, type Connection } from './connection.ts';
import { findTools } from './tools.ts';
import { libpqEnvironment } from './libpq.ts';
import { readControl } from './control.ts';
import { flushedLsn } from './log-position.ts';

/** How often the server hears how far the folder has come, in seconds: what it no longer has to keep. */
const statusSeconds = 5;
const connectTimeoutMs = 10_000;
const stopMs = 5000;

export interface ReceiverServer {
  /** In decimal. */
  readonly systemId: string;
  readonly serverMajor: number;
  readonly segmentBytes: number;
  readonly timeline: number;
  /** How far its log is durable; of a standby: how far it has come there. As PostgreSQL writes it. */
  readonly currentLsn: string;
  /**
   * The log that it still has begins with this segment: the 16 digits of its position. Undefined: this user may not
   * look.
   */
  readonly oldest: string | undefined;
  /** Undefined where there is none of that name. */
  readonly slot?: ReplicationSlot | undefined;
}

export interface ReplicationSlot {
  /** What holds it at the moment; undefined: nothing. */
  readonly activePid: number | undefined;
  /** From here on the server keeps its log; undefined: it was never used. */
  readonly restartLsn: string | undefined;
  /** reserved, extended, unreserved or lost. */
  readonly walStatus: string;
  readonly isPhysical: boolean;
}

/** What a receiver has to know of the server before it begins. Throws `source` (13). */
export async function readServer(url: PostgresUrl, slot: string, signal: AbortSignal): Promise<ReceiverServer> {
  return withConnection(url, { signal, connectTimeoutMs }, async (connection) => {
    const control = await readControl(connection);
    const [row] = await connection.query(`
      SELECT ${flushedLsn} AS lsn,
        has_function_privilege('pg_ls_waldir()', 'execute') AS may_look`);
    const [log] =
      row?.['may_look'] === 't'
        ? await connection.query(
            "SELECT min(substr(name, 9)) AS oldest FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'",
          )
        : [];
    return {
      ...control,
      serverMajor: Math.floor(connection.serverVersionNum / 10000),
      currentLsn: row?.['lsn'] ?? '0/0',
      oldest: log?.['oldest'] ?? undefined,
      slot: await readSlot(connection, slot),
    };
  });
}

async function readSlot(connection: Connection, slot: string): Promise<ReplicationSlot | undefined> {
  const [row] = await connection.query(
    'SELECT slot_type, active_pid, restart_lsn, wal_status FROM pg_replication_slots WHERE slot_name = $1',
    [slot],
  );
  if (row === undefined) return undefined;
  const { slot_type: type, active_pid: pid, restart_lsn: restartLsn, wal_status: walStatus } = row;
  return {
    activePid: pid === null || pid === undefined ? undefined : Number(pid),
    restartLsn: restartLsn ?? undefined,
    walStatus: walStatus ?? 'lost',
    isPhysical: type === 'physical',
  };
}

/** Makes a physical slot that keeps the log from now on. Throws `source` (13) with a hint when the server refuses. */
export async function createSlot(url: PostgresUrl, slot: string, signal: AbortSignal): Promise<void> {
  await withConnection(url, { signal, connectTimeoutMs }, async (connection) => {
    // Reserved at once: what is written before a receiver first comes is kept, too.
    await connection.query('SELECT pg_create_physical_replication_slot($1, true)', [slot]);
  }).catch((error: unknown) => {
    throw slotError(`cannot create the replication slot ${slot}`, error);
  });
}

/**
 * Removes a slot; false if there was none of that name. Throws `locked` (11) while a receiver uses it, else `source`
 * (13).
 */
export async function dropSlot(url: PostgresUrl, slot: string, signal: AbortSignal): Promise<boolean> {
  return withConnection(url, { signal, connectTimeoutMs }, async (connection) => {
    const found = await readSlot(connection, slot);
    if (found === undefined) return false;
    if (found.activePid !== undefined) {
      throw new LifeboatError(
        'locked',
        `the replication slot ${slot} is in use (process ${found.activePid} of the server)`,
        { state: 'it was not dropped', hint: 'end its receiver first', retryable: true },
      );
    }
    await connection.query('SELECT pg_drop_replication_slot($1)', [slot]);
    return true;
  }).catch((error: unknown) => {
    throw slotError(`cannot drop the replication slot ${slot}`, error);
  });
}

function slotError(act: string, error: unknown): unknown {
  const hints: Readonly<Record<string, string>> = {
    '42501': 'ALTER ROLE … REPLICATION for the backup user',
    '53400':
      'raise max_replication_slots of the server, or drop a slot that nobody uses: SELECT * FROM pg_replication_slots',
    '55000': 'the server needs wal_level = replica',
  };
  const hint = hints[sqlStateOf(error) ?? ''];
  return error instanceof LifeboatError && hint !== undefined
    ? new LifeboatError('source', `${act}: ${error.message}`, { hint, state: 'nothing was changed', cause: error })
    : error;
}

/** Absolute path of the program for a server of this version. Throws `tool` (16). */
export async function findReceiver(serverMajor: number): Promise<string> {
  return join((await findTools(serverMajor)).folder, 'pg_receivewal');
}

export interface ReceiverOptions {
  readonly url: PostgresUrl;
  readonly slot: string;
  /** Absolute path of pg_receivewal. */
  readonly program: string;
  /** Private; exists. */
  readonly folder: string;
}

export interface RunningReceiver {
  readonly pid: number;
  /**
   * Rejects when it ends by itself, which is never meant: `source` (13), or `window` (17) when the server no longer has
   * what comes next.
   */
  readonly ended: Promise<void>;
  /** Ends it in good order; resolves once it is gone. */
  stop(): Promise<void>;
}

/** Starts the program; it goes on from what lies in the folder, else from where the slot begins. */
export async function startReceiver({ url, slot, program, folder }: ReceiverOptions): Promise<RunningReceiver> {
  const args = [
    `--directory=${folder}`,
    `--slot=${slot}`,
    '--no-loop',
    '--no-password',
    `--status-interval=${statusSeconds}`,
  ];
  const child = await startTool({
    file: program,
    args,
    env: { ...libpqEnvironment(url), PGAPPNAME: 'lifeboat wal stream' },
    stdout: 'ignore',
  });
  const remembered = rememberProcess(child.pid, 'SIGINT');
  let isStopping = false;
  const ended = child.result
    .then(
      () => {
        if (!isStopping) {
          throw new LifeboatError('source', 'the server ended the stream of its log', { retryable: true });
        }
      },
      (error: unknown) => {
        if (!isStopping) throw error instanceof ToolError ? explain(error) : error;
      },
    )
    .finally(() => remembered[Symbol.dispose]());
  ended.catch(() => {});
  return {
    pid: child.pid,
    ended,
    stop: async () => {
      isStopping = true;
      child.kill('SIGINT');
      const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
      await ended.catch(() => {});
      clearTimeout(timer);
    },
  };
}

const advice: readonly (readonly [said: RegExp, hint: string])[] = [
  [
    /no pg_hba\.conf entry for replication/,
    'add a line to pg_hba.conf that lets the backup user connect to "replication", and reload the server',
  ],
  [
    /must be superuser or replication role|permission denied to start WAL sender/,
    'ALTER ROLE … REPLICATION for the backup user',
  ],
  [/max_wal_senders|wal_level/, 'the server needs wal_level = replica and max_wal_senders of at least 2'],
  [
    /replication slot .* is active for PID/,
    'another receiver uses this slot (or the server has not noticed yet that one is gone): give each receiver a ' +
      'slot of its own by --slot',
  ],
  [/No space left on device/, 'make room for the state folder of lifeboat'],
];

function explain(error: ToolError): LifeboatError {
  if (/requested WAL segment \w+ has already been removed/.test(error.stderr)) {
    return new LifeboatError('window', `the server no longer has the log that comes next: ${error.message}`, {
      cause: error,
    });
  }
  // It was put back to an earlier state, or another standby was promoted: what lies in the folder goes beyond where
  // they parted.
  if (/is not in this server's history/.test(error.stderr)) {
    return new LifeboatError('window', `the server does not go on from what was received last: ${error.message}`, {
      cause: error,
    });
  }
  return new LifeboatError('source', `cannot receive the log: ${error.message}`, {
    hint: advice.find(([said]) => said.test(error.stderr))?.[1],
    retryable: true,
    cause: error,
  });
}
