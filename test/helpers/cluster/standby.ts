/** A standby of a test server, by pg_basebackup -R. */
import { appendFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTool, startTool } from '../../../src/lib/exec.ts';
import { parsePostgresUrl } from '../../../src/config/postgres-url-parser.ts';
import { withConnection } from '../../../src/source/postgres/server/connection.ts';
import { serverFolder, type TestPostgres } from '../servers/postgres.ts';

export interface Standby extends AsyncDisposable {
  readonly url: string;
  /** The column `v` of the first row. */
  ask(sql: string): Promise<string>;
}

/** Resolves once it takes sessions; `settings` win over those of the server. */
export async function startStandby(
  server: TestPostgres,
  settings: Readonly<Record<string, string>> = {},
): Promise<Standby> {
  const { uid, gid } = statSync(server.dataDir);
  const folder = serverFolder(server, 'standby');
  await runTool({
    file: join(server.binDir, 'pg_basebackup'),
    args: ['-D', join(folder, 'data'), '-R', '-X', 'stream', '-c', 'fast', '--no-sync'],
    env: server.env,
    uid,
    gid,
    cwd: folder,
  });
  const lines = Object.entries({ unix_socket_directories: folder, ...settings });
  const text = lines.map(([name, value]) => `${name} = '${value}'\n`).join('');
  appendFileSync(join(folder, 'data/postgresql.auto.conf'), text);
  const running = await startTool({
    file: join(server.binDir, 'postgres'),
    args: ['-D', join(folder, 'data')],
    uid,
    gid,
    cwd: folder,
    stdout: 'ignore',
  });
  running.result.catch(() => {});
  const url = server.url().replace(encodeURIComponent(server.socketDir), encodeURIComponent(folder));
  const ask = async (sql: string): Promise<string> =>
    withConnection(parsePostgresUrl(url), {}, async (connection) => (await connection.query(sql))[0]?.['v'] ?? '');
  while ((await ask('SELECT 1 AS v').catch(() => '')) !== '1') await sleep(100);
  return {
    url,
    ask,
    [Symbol.asyncDispose]: async () => {
      running.kill('SIGQUIT');
      await running.result.catch(() => {});
    },
  };
}
