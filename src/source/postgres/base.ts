/**
 * Physical backups of a PostgreSQL cluster: pg_basebackup's tar as one stream. Its WAL is not in it: that
 * comes from the archive, and whoever stores the stream waits until all of it is there.
 */
import { join } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { startTool, ToolError } from '../../lib/exec.ts';
import type { Secret } from '../../lib/secret.ts';
import type { Artifact, ComponentFacts, Problem, Source, SourceInfo, ToolProcess } from '../source.ts';
import type { ClusterFacts } from './base-facts.ts';
import { type Connection, withConnection } from './connection.ts';
import { leftEarly } from './database-dump.ts';
import { findTools } from './tools.ts';
import { libpqEnvironment } from './url.ts';

/** The one artifact of a base backup: a tar with the data directory, pg_control last but for backup_manifest. */
export const baseArtifact = 'base.tar';

export interface BaseSourceOptions {
  readonly url: Secret;
  /** How long the server may take to archive the backup's WAL; default 5 min. */
  readonly archiveTimeoutMs?: number;
  /** Folder of the client programs; default: found by the server's version. */
  readonly toolFolder?: string | undefined;
}

/** A source for one base backup. `facts()` gives ClusterFacts. */
export function baseSource(options: BaseSourceOptions): Source {
  return new BaseSource(options);
}

/** Writes a little WAL and ends the segment, so that the server has something to archive. Without the right to end it, it is left to the server. */
export async function switchWal(url: Secret, signal: AbortSignal): Promise<void> {
  await withConnection(url, { signal }, async (connection) => {
    await connection.query('SELECT pg_current_xact_id()');
    await connection.query('SELECT pg_switch_wal()').catch(() => []);
  });
}

class BaseSource implements Source {
  readonly kind = 'base';
  readonly #options: BaseSourceOptions;
  #before: Awaited<ReturnType<typeof readCluster>> | undefined;
  #startedAt = '';
  #toolVersion = '';
  #ended: Promise<void> | undefined;
  #signal: AbortSignal | undefined;

  constructor(options: BaseSourceOptions) {
    this.#options = options;
  }

  probe({ signal }: RunContext): Promise<SourceInfo> {
    return withConnection(this.#options.url, { signal }, async (connection) => {
      const { serverVersion, systemIdentifier, tablespaces } = await readCluster(connection);
      const [size] = await connection.query('SELECT sum(pg_database_size(oid)) AS bytes FROM pg_database WHERE has_database_privilege(oid, \'CONNECT\')');
      return {
        serverVersion,
        identity: { server: connection.server, systemIdentifier },
        estimatedBytes: Number(size?.['bytes'] ?? 0),
        problems: [...tablespaceProblems(tablespaces), ...(await rightProblems(connection))],
      };
    });
  }

  async *dump({ signal, emit }: RunContext): AsyncGenerator<Artifact, void, void> {
    this.#signal = signal;
    this.#before = await withConnection(this.#options.url, { signal }, readCluster);
    const [problem] = tablespaceProblems(this.#before.tablespaces);
    if (problem !== undefined) throw new LifeboatError('tool', problem.message, { hint: problem.hint, state: 'no backup was made' });
    const tools = await findTools(Math.floor(this.#before.serverVersionNum / 10000), { folder: this.#options.toolFolder });
    this.#toolVersion = tools.version;
    for (const [setting, path] of Object.entries(this.#before.outsideFiles)) emit({ type: 'step', component: 'base', message: `${setting} lies outside of the data directory and is not in a base backup: ${path}` });
    this.#startedAt = this.#before.now;
    const run = async (stdoutFd: number, stop: AbortSignal): Promise<ToolProcess> => {
      const running = await this.#run(join(tools.folder, 'pg_basebackup'), stdoutFd, stop);
      this.#ended = running.done;
      return running;
    };
    yield { name: baseArtifact, mediaType: 'application/x-tar', chunkSize: 'small', body: { from: 'tool', run } };
  }

  async facts(): Promise<ComponentFacts> {
    if (this.#before === undefined || this.#ended === undefined) throw leftEarly();
    await this.#ended;
    const after = await withConnection(this.#options.url, { signal: this.#signal }, readCluster);
    if (after.systemIdentifier !== this.#before.systemIdentifier) throw new LifeboatError('source', 'another cluster answers at that address since the base backup began', { state: 'no backup was made' });
    const { now, ...cluster } = after;
    const facts: ClusterFacts = { ...cluster, toolVersion: this.#toolVersion, startedAt: this.#startedAt, stoppedAt: now };
    return { kind: 'base', facts };
  }

  async #run(file: string, stdoutFd: number, signal: AbortSignal): Promise<ToolProcess> {
    const late = new AbortController();
    const limitMs = this.#options.archiveTimeoutMs ?? 300_000;
    let timer: NodeJS.Timeout | undefined;
    const badPages: string[] = [];
    const child = await startTool({
      file,
      args: ['--format=tar', '--pgdata=-', '--wal-method=none', '--checkpoint=fast', '--manifest-checksums=SHA256', '--no-password', '--label=lifeboat'],
      env: libpqEnvironment(this.#options.url),
      stdout: stdoutFd,
      signal: AbortSignal.any([signal, late.signal]),
      onStderrLine: (line) => {
        if (line.includes('checksum verification failed')) badPages.push(line.replace(/^WARNING:\s+/, ''));
        // All has been sent; what is left is the server's archiving, which would be waited for without end.
        if (line.includes('waiting for required WAL segments to be archived')) timer ??= setTimeout(() => late.abort(notArchived(limitMs)), limitMs);
      },
    });
    const done = child.result.then(
      () => clearTimeout(timer),
      (error: unknown) => {
        clearTimeout(timer);
        throw error instanceof ToolError ? explain(error, badPages) : error;
      },
    );
    done.catch(() => {});
    return { done };
  }
}

function notArchived(limitMs: number): LifeboatError {
  return new LifeboatError('source', `the server has not archived the WAL of the base backup within ${Math.round(limitMs / 1000)} s`, {
    state: 'no backup was recorded',
    hint: 'SELECT * FROM pg_stat_archiver and the server\'s log tell why archive_command fails',
    retryable: true,
  });
}

const advice: readonly (readonly [said: RegExp, hint: string])[] = [
  [/no pg_hba\.conf entry for replication/, 'add a line to pg_hba.conf that lets the backup user connect to "replication", and reload the server'],
  [/must be superuser or replication role|permission denied to start WAL sender/, 'ALTER ROLE … REPLICATION for the backup user'],
  [/max_wal_senders|wal_level/, 'the server needs wal_level = replica and max_wal_senders of at least 2'],
];

function explain(error: ToolError, badPages: readonly string[]): LifeboatError {
  if (badPages.length > 0) {
    const named = badPages.slice(0, 5).join('; ');
    return new LifeboatError('source', `pages of the cluster are damaged: ${named}`, { state: 'no backup was recorded', hint: 'save what can be read by: lifeboat backup database; then look at the disk', cause: error });
  }
  return new LifeboatError('source', `cannot take a base backup: ${error.message}`, { hint: advice.find(([said]) => said.test(error.stderr))?.[1], retryable: true, cause: error });
}

function tablespaceProblems(tablespaces: ClusterFacts['tablespaces']): Problem[] {
  if (tablespaces.length === 0) return [];
  return [{ message: `base backups of clusters with several tablespaces are not supported yet: ${tablespaces.map(({ name }) => name).join(', ')}`, hint: 'back its databases up by: lifeboat backup database', fatal: true }];
}

async function rightProblems(connection: Connection): Promise<Problem[]> {
  const [role] = await connection.query('SELECT rolsuper OR rolreplication AS may FROM pg_roles WHERE rolname = current_user');
  if (role?.['may'] === 't') return [];
  return [{ message: 'the user may not take base backups', hint: 'ALTER ROLE … REPLICATION for the backup user', fatal: true }];
}

const minima = ['max_connections', 'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', 'max_locks_per_transaction'];

type Cluster = Omit<ClusterFacts, 'toolVersion' | 'startedAt' | 'stoppedAt'> & { readonly now: string };

async function readCluster(connection: Connection): Promise<Cluster> {
  const [row] = await connection.query(`
    SELECT split_part(current_setting('server_version'), ' ', 1) AS version, (SELECT system_identifier FROM pg_control_system()) AS system,
      (SELECT bytes_per_wal_segment FROM pg_control_init()) AS segment, current_setting('data_checksums') AS checksums,
      pg_get_userbyid(10) AS superuser, pg_snapshot_xmin(pg_current_snapshot()) AS xid,
      to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS now`);
  const settings = await connection.query(`SELECT name, setting FROM pg_settings WHERE name IN (${minima.map((name) => `'${name}'`).join(', ')})`);
  const outside = await connection.query(`
    SELECT f.name, f.setting FROM pg_settings f, pg_settings d
    WHERE d.name = 'data_directory' AND f.name IN ('config_file', 'hba_file', 'ident_file') AND NOT starts_with(f.setting, d.setting || '/')`);
  const spaces = await connection.query("SELECT spcname AS name, pg_tablespace_location(oid) AS path FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')");
  const byName = (rows: readonly Readonly<Record<string, string | null>>[]): Record<string, string> => Object.fromEntries(rows.map((each) => [each['name'] ?? '', each['setting'] ?? '']));
  return {
    serverVersion: row?.['version'] ?? '',
    serverVersionNum: connection.serverVersionNum,
    systemIdentifier: row?.['system'] ?? '',
    walSegmentBytes: Number(row?.['segment']),
    dataChecksums: row?.['checksums'] === 'on',
    superuser: row?.['superuser'] ?? 'postgres',
    oldestXid: row?.['xid'] ?? '0',
    minima: byName(settings),
    outsideFiles: byName(outside),
    tablespaces: spaces.map((each) => ({ name: each['name'] ?? '', path: each['path'] ?? '' })),
    now: row?.['now'] ?? '',
  };
}
