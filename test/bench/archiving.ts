/** A server with WAL segments of the usual 16 MB that archives through the program, and a repository of its user. */
import { chmodSync, chownSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serverFolder, startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { run } from './measure.ts';

export const program = fileURLToPath(new URL('../../bin/lifeboat.js', import.meta.url));

export interface ArchivingBench {
  readonly server: TestPostgres;
  /** Everything lies in it; the server's user may write there. */
  readonly home: string;
  readonly config: string;
  /** Before a shell line: runs it as the server's user. */
  readonly asServer: string;
  readonly env: Readonly<Record<string, string>>;
  /** The recommended archive_command. */
  readonly archiveCommand: string;
  /** Empties the repository; also for the first time. */
  freshRepository(): Promise<void>;
  setArchiveCommand(command: string): Promise<void>;
}

/** Nothing is archived until `setArchiveCommand`. Stop the server at the end. */
export async function startArchivingBench(): Promise<ArchivingBench> {
  const server = await startPostgres({
    initdbArgs: ['--encoding=UTF8', '--locale=C.UTF-8', '--data-checksums'],
    settings: {
      archive_mode: 'on',
      archive_command: '',
      max_wal_senders: '4',
      full_page_writes: 'on',
      max_wal_size: '8GB',
      checkpoint_timeout: '1h',
    },
  });
  try {
    return await prepare(server);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function prepare(server: TestPostgres): Promise<ArchivingBench> {
  const home = serverFolder(server, 'bench');
  const { uid, gid } = statSync(server.dataDir);
  const config = join(home, 'lifeboat.config.json');
  writeFileSync(
    config,
    JSON.stringify({
      repository: `file://${home}/repository`,
      stateDir: `${home}/state`,
      jobs: 2,
      encryption: { key: { file: `${home}/key` } },
      targets: { main: { postgres: { url: server.url(), databases: ['*'], base: {} } } },
    }),
  );
  writeFileSync(join(home, 'key'), 'ab'.repeat(32));
  for (const name of ['lifeboat.config.json', 'key']) {
    chownSync(join(home, name), uid, gid);
    chmodSync(join(home, name), 0o600);
  }
  const env = { PATH: `${server.binDir}:${process.env['PATH'] ?? ''}`, HOME: home, ...server.env };
  const asServer = process.getuid?.() === 0 ? `setpriv --reuid=${uid} --regid=${gid} --clear-groups` : '';
  const freshRepository = async (): Promise<void> => {
    for (const name of ['repository', 'state']) rmSync(join(home, name), { recursive: true, force: true });
    await run(`cd ${home} && ${asServer} ${program} init -q --config ${config}`, env);
  };
  const setArchiveCommand = async (command: string): Promise<void> => {
    await server.query('postgres', `ALTER SYSTEM SET archive_command = '${command.replaceAll("'", "''")}'`);
    await server.query('postgres', 'SELECT pg_reload_conf()');
  };
  await freshRepository();
  const recipe = JSON.parse(await run(`${program} init --archive-command --json --config ${config}`, env)) as {
    archiveCommand: string;
  };
  const archiveCommand = (/^archive_command = '(.*)'$/.exec(recipe.archiveCommand)?.[1] ?? '').replaceAll("''", "'");
  return { server, home, config, asServer, env, archiveCommand, freshRepository, setArchiveCommand };
}
