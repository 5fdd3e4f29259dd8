/**
 * A cluster that archives through the program, and recoveries of it: what a moment must hold is known from the
 * cluster's own log.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig, type LoadedConfig } from '../../../src/config/load.ts';
import type { RunContext } from '../../../src/lib/events.ts';
import { runTool } from '../../../src/lib/exec.ts';
import { processStart } from '../../../src/lib/process-identity.ts';
import { parsePostgresUrl } from '../../../src/config/postgres-url-parser.ts';
import { backup } from '../../../src/operations/backup/backup.ts';
import { pitr } from '../../../src/operations/pitr/pitr.ts';
import type { PitrRequest, PitrResult } from '../../../src/operations/pitr/request.ts';
import { parseTime } from '../../../src/operations/pitr/moment.ts';
import { type Connection, withConnection } from '../../../src/source/postgres/server/connection.ts';
import { serverFolder } from '../servers/postgres.ts';
import { rawKey, startArchivingServer, type ArchivingOptions, type ArchivingServer } from './wal-server.ts';

export const quiet: RunContext = { signal: new AbortController().signal, emit: () => {} };

/** A transaction's end in the log. */
export interface LoggedEnd {
  readonly xid: string;
  readonly lsn: string;
  readonly isCommit: boolean;
  /** Microseconds since 1970. */
  readonly atUs: bigint;
}

export interface PitrCluster extends ArchivingServer, AsyncDisposable {
  readonly loaded: LoadedConfig;
  /** Takes a base backup; its id. */
  base(): Promise<string>;
  run(to: string, more?: Partial<PitrRequest>): Promise<PitrResult>;
  /** Recovers to there and pauses; what `look` finds. */
  recovered<T>(
    to: string,
    look: (connection: Connection, env: Readonly<Record<string, string>>) => Promise<T>,
    more?: Partial<PitrRequest>,
  ): Promise<T>;
  /** A new, empty folder that the server's user owns. */
  folder(name: string): string;
  /** Every commit and abort of the timeline, in the order of the log, from a position on. */
  ends(from: string): Promise<LoggedEnd[]>;
}

export async function startPitrCluster(options: ArchivingOptions = {}): Promise<PitrCluster> {
  const archive = await startArchivingServer({
    initdbArgs: ['--data-checksums'],
    ...options,
    settings: {
      autovacuum: 'off',
      synchronous_commit: 'on',
      track_commit_timestamp: 'on',
      full_page_writes: 'on',
      ...options.settings,
    },
  });
  try {
    return await pitrOf(archive);
  } catch (error) {
    await archive.server.stop();
    throw error;
  }
}

/** The same of a server that is there already; base backups are taken of the one at `url`. */
export async function pitrOf(archive: ArchivingServer, url = archive.server.url()): Promise<PitrCluster> {
  const { server, home, config } = archive;
  const { repository } = JSON.parse(readFileSync(config, 'utf8')) as { repository: unknown };
  const document = { repository, targets: { main: { postgres: { url, databases: ['postgres'], base: {} } } } };
  const loaded = await loadConfig({
    cwd: home,
    env: { BACKUP_STATE_DIR: join(server.socketDir, 'root-state'), BACKUP_ENCRYPTION_KEY: rawKey },
    document,
    need: { repository: true, encryption: true, targets: 'all' },
  });
  let places = 0;
  const folder = (name: string): string => serverFolder(server, `${name}-${++places}`);
  const run: PitrCluster['run'] = (to, more = {}) =>
    pitr(
      loaded,
      { to, inclusive: true, action: 'pause', check: false, dryRun: false, dataDir: undefined, ...more },
      quiet,
    );
  return {
    ...archive,
    loaded,
    folder,
    run,
    base: async () => {
      const result = await backup(
        loaded,
        { components: ['base'], tags: [], ifRunning: { action: 'fail' }, dryRun: false },
        quiet,
      );
      assert.ok(result.outcome === 'done');
      return result.id;
    },
    recovered: async (to, look, more = {}) => {
      const dataDir = folder('recovered');
      const result = await run(to, { dataDir, ...more });
      assert.ok(result.outcome === 'done' && result.url !== undefined && result.pid !== undefined);
      const url = parsePostgresUrl(result.url);
      const { host } = parsePostgresUrl(url);
      try {
        return await withConnection(url, {}, async (connection) =>
          look(connection, { PGHOST: host, PGPORT: '5432', PGUSER: 'postgres' }),
        );
      } finally {
        await endProcess(result.pid);
        for (const path of [host, dataDir]) rmSync(path, { recursive: true, force: true });
      }
    },
    ends: async (from) => transactionEnds(archive, from),
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

/** SIGINT, and waits until it is gone. */
export async function endProcess(pid: number): Promise<void> {
  const start = processStart(pid);
  if (start === undefined) return;
  process.kill(pid, 'SIGINT');
  while (processStart(pid) === start) await sleep(20);
}

async function transactionEnds({ server }: ArchivingServer, from: string): Promise<LoggedEnd[]> {
  const args = ['--path', join(server.dataDir, 'pg_wal'), '--rmgr=Transaction', `--start=${from}`];
  // It ends with 1 where the log ends.
  const { stdout } = await runTool({
    file: join(server.binDir, 'pg_waldump'),
    args,
    env: { TZ: 'UTC' },
    okExitCodes: [0, 1],
  });
  const found: LoggedEnd[] = [];
  for (const [, xid = '', lsn = '', kind, at = ''] of stdout.matchAll(
    /tx: +(\d+), lsn: ([0-9A-F/]+), .*desc: (COMMIT|ABORT) (\S+ \S+) UTC/g,
  )) {
    found.push({ xid, lsn, isCommit: kind === 'COMMIT', atUs: parseTime(`${at} UTC`) });
  }
  return found;
}
