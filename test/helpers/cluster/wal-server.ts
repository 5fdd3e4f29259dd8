/** A server that archives its log through the program itself, and copies of it that recover from there. */
import { appendFileSync, chmodSync, chownSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTool, startTool, type RunningTool } from '../../../src/lib/exec.ts';
import { runCli, type CliResult } from '../cli/run-cli.ts';
import { serverFolder, startPostgres, type TestPostgres } from '../servers/postgres.ts';

export const mib = 1024 * 1024;
export const rawKey = 'd4'.repeat(32);
const program = new URL('../../../bin/lifeboat.js', import.meta.url).pathname;

export interface ArchivingServer {
  readonly server: TestPostgres;
  /** Folder of the repository, the configuration and the state; the server's user owns it. */
  readonly home: string;
  readonly config: string;
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly systemId: string;
  /** The recommended lines for postgresql.conf. */
  readonly recipe: { readonly archiveCommand: string; readonly restoreCommand: string };
  /** Switches to a new segment and waits until the archiver has handed over all before it. */
  archived(): Promise<void>;
}

export interface ArchivingOptions {
  /** Default: 1. */
  readonly segmentMegabytes?: number;
  /** Lines of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly initdbArgs?: readonly string[];
  /** As in a configuration; default: a folder in `home`. */
  readonly repository?: unknown;
}

/** Starts one with segments that are all kept in pg_wal, to compare with. Stop its server at the end. */
export async function startArchivingServer({
  segmentMegabytes = 1,
  settings = {},
  initdbArgs = [],
  repository,
}: ArchivingOptions = {}): Promise<ArchivingServer> {
  const server = await startPostgres({
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', `--wal-segsize=${segmentMegabytes}`, ...initdbArgs],
    settings: {
      archive_mode: 'on',
      archive_command: '',
      wal_keep_size: '4GB',
      min_wal_size: `${2 * segmentMegabytes}MB`,
      max_wal_senders: '4',
      ...settings,
    },
  });
  try {
    const { uid, gid } = statSync(server.dataDir);
    const home = serverFolder(server, 'archive');
    const config = join(home, 'lifeboat.config.json');
    writeFileSync(
      config,
      JSON.stringify({
        repository: repository ?? `file://${home}/repository`,
        stateDir: `${home}/state`,
        jobs: 2,
        encryption: { key: { file: `${home}/key` } },
      }),
    );
    writeFileSync(join(home, 'key'), rawKey);
    for (const name of ['lifeboat.config.json', 'key']) {
      chownSync(join(home, name), uid, gid);
      chmodSync(join(home, name), 0o600);
    }
    await runTool({ file: program, args: ['init', '--config', config, '--quiet'], uid, gid, cwd: home });
    const recipe = JSON.parse(
      (await runCli(['init', '--archive-command', '--config', config, '--json'])).stdout,
    ) as ArchivingServer['recipe'];
    await server.query('postgres', `ALTER SYSTEM SET ${recipe.archiveCommand}`);
    await server.query('postgres', 'SELECT pg_reload_conf()');
    const [row] = await server.query('postgres', 'SELECT system_identifier FROM pg_control_system()');
    return {
      server,
      home,
      config,
      owner: { uid, gid },
      systemId: row?.['system_identifier'] ?? '',
      recipe,
      archived: async () => waitForArchive(server),
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Ends the segment and waits until the archiver has handed over all up to it. */
export async function waitForArchive(server: Pick<TestPostgres, 'query' | 'dataDir'>): Promise<void> {
  const [row] = await server.query(
    'postgres',
    'SELECT pg_walfile_name(pg_switch_wal()) AS last FROM pg_current_xact_id()',
  );
  const last = row?.['last'] ?? '';
  const status = join(server.dataDir, 'pg_wal/archive_status');
  // Sequences of segments end in .done; there is no other way to see that none of them was passed over.
  while (readdirSync(status).some((name) => name.endsWith('.ready')) || !readdirSync(status).includes(`${last}.done`)) {
    // The archiver pauses for a minute after three failures, unless it is woken.
    await server.query('postgres', 'SELECT pg_reload_conf()');
    await sleep(100);
  }
}

/** Every complete segment that the server has kept, as it acknowledged them. */
export function keptSegments(server: TestPostgres): string[] {
  const names = readdirSync(join(server.dataDir, 'pg_wal/archive_status'));
  return names
    .filter((name) => /^[0-9A-F]{24}\.done$/.test(name))
    .map((name) => name.slice(0, 24))
    .toSorted();
}

/** One call of the program in the data directory, in this process. */
export async function walCli(
  { server, config }: ArchivingServer,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<CliResult> {
  return runCli(['wal', ...args, '--config', config], { cwd: server.dataDir, env });
}

export interface RecoveringServer {
  readonly running: RunningTool;
  readonly log: () => string;
  /** The single value of a query as text. */
  value(sql: string): Promise<string>;
}

/** Starts a copied data directory with a restore_command; its socket is in the folder that holds it. */
export async function startRecovery(
  { server, owner }: ArchivingServer,
  dataDir: string,
  socketDir: string,
  settings: readonly string[],
): Promise<RecoveringServer> {
  writeFileSync(join(dataDir, 'recovery.signal'), '');
  chownSync(join(dataDir, 'recovery.signal'), owner.uid, owner.gid);
  appendFileSync(
    join(dataDir, 'postgresql.auto.conf'),
    [`unix_socket_directories = '${socketDir}'`, 'archive_mode = off', ...settings, ''].join('\n'),
  );
  let log = '';
  const running = await startTool({
    file: join(server.binDir, 'postgres'),
    args: ['-D', dataDir],
    ...owner,
    cwd: socketDir,
    stdout: 'ignore',
    onStderrLine: (line) => (log += `${line}\n`),
  });
  running.result.catch(() => {});
  const value = async (sql: string): Promise<string> => {
    const { stdout } = await runTool({
      file: join(server.binDir, 'psql'),
      args: ['-XAtq', '-d', 'postgres', '-c', sql],
      env: { PGHOST: socketDir, PGUSER: 'postgres', PGPORT: '5432' },
    });
    return stdout.trim();
  };
  return { running, log: () => log, value };
}

/** Waits until the recovery has ended and the server takes writes. Throws with its log if it ends. */
export async function promoted({ running, log, value }: RecoveringServer): Promise<void> {
  let ended = false;
  running.result.catch(() => {}).finally(() => (ended = true));
  for (;;) {
    if (ended) throw new Error(`the recovering server ended: ${log()}`);
    if ((await value('SELECT pg_is_in_recovery()').catch(() => 't')) === 'f') return;
    await sleep(100);
  }
}
