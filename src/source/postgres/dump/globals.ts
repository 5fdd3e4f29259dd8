/**
 * Roles, tablespaces and their settings, by pg_dumpall --globals-only: small, so taken into memory at
 * once, and a missing right shows before anything is promised. Without the right to read pg_authid
 * (superusers only) they come without passwords.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import { ToolError, runTool } from '../../../lib/exec.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { Connection } from '../server/connection.ts';
import { conninfo } from '../server/quote.ts';
import type { PostgresTools } from '../server/tools.ts';
import { libpqEnvironment } from '../server/libpq.ts';

export interface Globals {
  readonly sql: Buffer;
  readonly roles: readonly string[];
  readonly withPasswords: boolean;
}

/** Dumps them; undefined when the rights are missing. Throws `source` (13) for any other failure. */
export async function dumpGlobals(
  url: PostgresUrl,
  connection: Connection,
  tools: PostgresTools,
  options: { readonly lockWaitTimeoutMs: number; readonly signal: AbortSignal },
): Promise<Globals | undefined> {
  const withPasswords = await readsPasswords(connection);
  const args = [
    '--globals-only',
    '--no-password',
    `--lock-wait-timeout=${options.lockWaitTimeoutMs}`,
    `--database=${conninfo(connection.database)}`,
  ];
  try {
    const { stdout } = await runTool({
      file: tools.pgDumpall,
      args: withPasswords ? args : [...args, '--no-role-passwords'],
      env: libpqEnvironment(url, { database: connection.database, encoding: connection.encoding }),
      signal: options.signal,
    });
    return { sql: Buffer.from(stdout), roles: await readRoles(connection), withPasswords };
  } catch (error) {
    if (error instanceof ToolError && /permission denied/.test(error.stderr)) return undefined;
    if (!(error instanceof ToolError)) throw error;
    throw new LifeboatError('source', `cannot dump roles and tablespaces: ${error.message}`, {
      retryable: true,
      cause: error,
    });
  }
}

/** Whether this user may see the roles' password hashes. */
export async function readsPasswords(connection: Connection): Promise<boolean> {
  const rows = await connection.query("SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS yes");
  return rows[0]?.['yes'] === 't';
}

async function readRoles(connection: Connection): Promise<string[]> {
  const rows = await connection.query("SELECT rolname AS name FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname");
  return rows.map((row) => row['name'] ?? '');
}
