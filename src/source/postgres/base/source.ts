/**
 * Physical backups of a PostgreSQL cluster: pg_basebackup's tar as one stream, or several where there are more
 * tablespaces. Its WAL is not in it: that comes from the archive, and whoever stores the streams waits until all
 * of it is there.
 */
import { basename, join } from 'node:path';
import { LifeboatError } from '../../../lib/errors.ts';
import type { EventSink, RunContext } from '../../../lib/events.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import {
  leftEarly,
  type Artifact,
  type ComponentFacts,
  type Source,
  type SourceInfo,
  type ToolProcess,
} from '../../source.ts';
import { baseArtifact } from './artifacts.ts';
import { configurationFacts, configurationIn, readConfiguration, type ReadConfiguration } from './configuration.ts';
import { clusterBytes, majorProblems, readCluster, rightProblems, type Cluster } from './cluster-facts.ts';
import type { ClusterFacts } from './facts.ts';
import { runBaseBackup, type BaseProcess, type BaseRun } from './pg-basebackup.ts';
import { tellDamagedPages } from './damaged-pages.ts';
import { spoolTablespaces } from './spool.ts';
import { withConnection } from '../server/connection.ts';
import { findTools } from '../server/tools.ts';

export interface BaseSourceOptions {
  readonly url: PostgresUrl;
  /** Where a cluster with several tablespaces is put first; exists. */
  readonly scratchDir: string;
  /** So long without a byte more there is "hung". */
  readonly hangTimeoutMs: number;
  /** How long the server may take to archive the backup's WAL; default 5 min, and half the time to "hung" at most. */
  readonly archiveTimeoutMs?: number;
  /** How often it is asked meanwhile how its archiver fares; default 1 min. */
  readonly archiverCheckMs?: number;
  /** Folder of the client programs; default: found by the server's version. */
  readonly toolFolder?: string | undefined;
}

/** A source for one base backup. `facts()` gives ClusterFacts. */
export function baseSource(options: BaseSourceOptions): Source {
  return new BaseSource(options);
}

/**
 * Writes a little WAL and ends the segment, so that the server has something to archive. Without the right to end it,
 * it is left to the server; a standby can do neither.
 */
export async function switchWal(url: PostgresUrl, signal: AbortSignal): Promise<void> {
  await withConnection(url, { signal }, async (connection) => {
    const [row] = await connection.query('SELECT pg_is_in_recovery() AS standby');
    if (row?.['standby'] === 't') return;
    await connection.query('SELECT pg_current_xact_id()');
    await connection.query('SELECT pg_switch_wal()').catch(() => []);
  });
}

class BaseSource implements Source {
  readonly kind = 'base';
  readonly #options: BaseSourceOptions;
  #before: Cluster | undefined;
  #toolVersion = '';
  #configuration: ReadConfiguration | undefined;
  readonly #leftOut = new Set<string>();
  #running: BaseProcess | undefined;
  #signal: AbortSignal | undefined;
  #emit: EventSink = () => {};
  #tablespaceBytes: ReadonlyMap<string, number> = new Map();

  constructor(options: BaseSourceOptions) {
    this.#options = options;
  }

  probe({ signal }: RunContext): Promise<SourceInfo> {
    return withConnection(this.#options.url, { signal }, async (connection) => {
      const { serverVersion, systemIdentifier } = await readCluster(connection);
      return {
        serverVersion,
        identity: { server: connection.server, systemIdentifier },
        estimatedBytes: await clusterBytes(connection),
        problems: [...majorProblems(connection), ...(await rightProblems(connection))],
      };
    });
  }

  async *dump(context: RunContext): AsyncGenerator<Artifact, void, void> {
    const { signal, emit } = context;
    this.#signal = signal;
    this.#emit = emit;
    const { before, expectedBytes, read } = await withConnection(this.#options.url, { signal }, async (connection) => ({
      before: await readCluster(connection),
      expectedBytes: await clusterBytes(connection),
      read: await readConfiguration(connection),
    }));
    this.#before = before;
    this.#configuration = read;
    const tools = await findTools(Math.floor(before.serverVersionNum / 10000), { folder: this.#options.toolFolder });
    this.#toolVersion = tools.version;
    const file = join(tools.folder, 'pg_basebackup');
    if (before.tablespaces.length === 0) {
      yield {
        name: baseArtifact,
        mediaType: 'application/x-tar',
        chunkSize: 'small',
        body: { from: 'tool', run: async (fd, stop) => this.#run(file, { to: { fd }, emit }, stop) },
      };
      return yield* configurationIn(read, emit);
    }
    const { scratchDir, hangTimeoutMs } = this.#options;
    const run = async (folder: string, stop: AbortSignal, onSent: () => void): Promise<ToolProcess> =>
      this.#run(file, { to: { folder }, emit, onSent }, stop);
    yield* spoolTablespaces(
      {
        tablespaces: before.tablespaces,
        expectedBytes,
        scratchDir,
        hangTimeoutMs,
        run,
        onSizes: (sizes) => (this.#tablespaceBytes = sizes),
      },
      context,
    );
    yield* configurationIn(read, emit);
  }

  async facts(): Promise<ComponentFacts> {
    const before = this.#before;
    if (before === undefined || this.#running === undefined) throw leftEarly();
    await this.#running.done;
    const after = await withConnection(this.#options.url, { signal: this.#signal }, readCluster);
    if (after.systemIdentifier !== before.systemIdentifier) {
      throw new LifeboatError('source', 'another cluster answers at that address since the base backup began', {
        state: 'no backup was made',
      });
    }
    const { now, ...cluster } = after;
    const tablespaces = before.tablespaces.map((each) => ({
      ...each,
      bytes: this.#tablespaceBytes.get(each.oid) ?? 0,
    }));
    const damagedPages = this.#running.pages();
    const facts: ClusterFacts = {
      ...cluster,
      ...configurationFacts(this.#configuration),
      tablespaces,
      toolVersion: this.#toolVersion,
      startedAt: before.now,
      stoppedAt: now,
      ...(damagedPages === undefined ? {} : { damagedPages }),
    };
    if (damagedPages === undefined) return { kind: 'base', facts };
    this.#emit({ type: 'warning', component: 'base', message: tellDamagedPages(damagedPages) });
    return { kind: 'base', facts, flaws: damagedPages.count };
  }

  async #run(file: string, run: Pick<BaseRun, 'to' | 'emit' | 'onSent'>, signal: AbortSignal): Promise<BaseProcess> {
    const { url, hangTimeoutMs, archiveTimeoutMs = 300_000, archiverCheckMs = 60_000 } = this.#options;
    // Before the wait is taken for a server that hangs.
    const limitMs = Math.min(archiveTimeoutMs, hangTimeoutMs / 2);
    const checkMs = Math.min(archiverCheckMs, Math.max(200, limitMs / 3));
    const times = { archiveTimeoutMs: limitMs, archiverCheckMs: checkMs };
    const onLeftOut = (path: string): void => this.#tellLeftOut(path, run.emit);
    const running = await runBaseBackup({ url, file, ...run, ...times, onLeftOut, signal });
    this.#running = running;
    return running;
  }

  /** Sockets of servers come and go; a link that configuration leads to was followed. */
  #tellLeftOut(path: string, emit: EventSink): void {
    // The server says it again where it adds up sizes first.
    if (this.#leftOut.has(path)) return;
    this.#leftOut.add(path);
    const { dataDirectory, files } = this.#configuration?.configuration ?? { dataDirectory: '', files: [] };
    const isTaken = files.some((each) => each.path === `${dataDirectory}/${path}`);
    if (isTaken || basename(path).startsWith('.s.PGSQL.')) return;
    const message = `${path} in the data directory is a link or no plain file, and not in the base backup`;
    emit({ type: 'warning', component: 'base', message });
  }
}
