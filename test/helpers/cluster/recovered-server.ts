/**
 * A server on a folder that was recovered and taken into use: it starts by itself, archives, and is a cluster like any
 * other.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTool } from '../../../src/lib/exec.ts';
import { parsePostgresUrl } from '../../../src/config/postgres-url-parser.ts';
import { withConnection } from '../../../src/source/postgres/server/connection.ts';
import { endProcess, type PitrCluster } from './pitr-cluster.ts';
import type { TextRow } from '../servers/postgres.ts';
import { waitForArchive } from './wal-server.ts';

export interface RecoveredServer {
  readonly dataDir: string;
  readonly url: string;
  query(database: string, sql: string): Promise<TextRow[]>;
  archived(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts it as its owner, archiving by the archive_command that it has from the original. */
export async function startRecovered(cluster: PitrCluster, dataDir: string): Promise<RecoveredServer> {
  const { server, owner } = cluster;
  const socket = cluster.folder('run');
  let log = '';
  const args = ['-D', dataDir, '-c', `unix_socket_directories=${socket}`, '-c', 'archive_mode=on'];
  const running = await startTool({
    file: join(server.binDir, 'postgres'),
    args,
    ...owner,
    cwd: socket,
    stdout: 'ignore',
    onStderrLine: (line) => (log += `${line}\n`),
  });
  let ended = false;
  running.result.catch(() => {}).finally(() => (ended = true));
  const url = `postgres://postgres@${encodeURIComponent(socket)}:5432/postgres`;
  const query: RecoveredServer['query'] = async (_, sql) =>
    withConnection(parsePostgresUrl(url), {}, async (connection) => connection.query(sql));
  const recovered = {
    dataDir,
    url,
    query,
    archived: async () => waitForArchive({ dataDir, query }),
    stop: async () => endProcess(running.pid),
  };
  for (;;) {
    if (ended) throw new Error(`the recovered server ended: ${log}`);
    if ((await query('postgres', 'SELECT 1').catch(() => [])).length > 0) return recovered;
    await sleep(50);
  }
}
