/**
 * pg_amcheck over a throwaway database: are tables and indexes sound in themselves? It adds an extension there, so it
 * comes last.
 */
import { join } from 'node:path';
import type { RunContext } from '../../../lib/events.ts';
import { runTool } from '../../../lib/exec.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { withConnection } from '../server/connection.ts';
import { conninfo } from '../server/quote.ts';
import { isProgram } from '../server/tools.ts';
import { libpqEnvironment } from '../server/libpq.ts';
import { changingDefaults } from '../server/session-settings.ts';

export interface AmcheckOptions {
  /** Of a superuser; the server must take writes. */
  readonly url: PostgresUrl;
  readonly database: string;
  /** Folder of the server's programs. */
  readonly programs: string;
  readonly jobs: number;
  /** Default true. False: the extension is there already, or the server takes no writes. */
  readonly install?: boolean;
  /** What pg_amcheck says of its progress, about once a second. */
  readonly onProgress?: (line: string) => void;
}

/** `absent`: not installed. `unable`: it could not look, for the reason given. */
export type AmcheckReport =
  | { readonly outcome: 'clean' | 'absent' }
  | { readonly outcome: 'damaged' | 'unable'; readonly said: string };

/** The extension is made without the database's own event triggers. */
const makingItQuietly: readonly string[] = [...changingDefaults, 'session_replication_role=replica'];

/** What it found is in the report, not thrown. */
export async function amcheck(
  { url, database, programs, jobs, install = true, onProgress }: AmcheckOptions,
  { signal }: Pick<RunContext, 'signal'>,
): Promise<AmcheckReport> {
  const file = join(programs, 'pg_amcheck');
  const isAvailable = async (): Promise<boolean> =>
    withConnection(
      url,
      { database, signal },
      async (client) => (await client.query("SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'")).length > 0,
    );
  if (!isProgram(file) || !(await isAvailable())) return { outcome: 'absent' };
  const args = [
    ...(install ? ['--install-missing'] : []),
    ...(onProgress === undefined ? [] : ['--progress']),
    '--no-password',
    `--jobs=${jobs}`,
  ];
  const result = await runTool({
    file,
    args,
    // The name of a database, as PGDATABASE or as an argument, would be read as a connection string if it looks like
    // one.
    env: libpqEnvironment(url, { database: conninfo(database), defaults: makingItQuietly }),
    signal,
    okExitCodes: [0, 1, 2],
    ...(onProgress === undefined ? {} : { onStderrLine: onProgress }),
  });
  if (result.exitCode === 0) return { outcome: 'clean' };
  const found = result.stdout.trim();
  if (result.exitCode === 2 && found !== '') {
    return { outcome: 'damaged', said: found.split('\n').slice(0, 4).join('; ').slice(0, 500) };
  }
  return {
    outcome: 'unable',
    said:
      result.stderr
        .trim()
        .split('\n')
        .find((line) => /error|warning/i.test(line)) ??
      result.stderr.trim().split('\n')[0] ??
      '',
  };
}
