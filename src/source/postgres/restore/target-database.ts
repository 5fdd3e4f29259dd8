/** What a restore asks of the server that it restores into, and what it takes away there. */
import type { Queries } from '../server/maintenance.ts';
import { quoteIdentifier } from '../server/quote.ts';

/** What the server to restore into is, as far as a restore must know. */
export interface TargetServer {
  /** E.g. 150018. */
  readonly versionNum: number;
  readonly isSuperuser: boolean;
  readonly user: string;
}

export async function readTargetServer(client: Queries): Promise<TargetServer> {
  const [row] = await client.query(
    "SELECT current_setting('server_version_num') AS version, current_setting('is_superuser') AS super, " +
      'current_user::text AS role',
  );
  return { versionNum: Number(row?.['version']), isSuperuser: row?.['super'] === 'on', user: row?.['role'] ?? '' };
}

/** E.g. 15. */
export function majorOf({ versionNum }: Pick<TargetServer, 'versionNum'>): number {
  return Math.trunc(versionNum / 10_000);
}

export async function databaseExists(client: Queries, name: string): Promise<boolean> {
  return (await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])).length > 0;
}

/** Ends its sessions and drops it, a template too; absent is fine. */
export async function dropDatabase(client: Queries, name: string): Promise<void> {
  const marked = await client.query('SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate', [name]);
  if (marked.length > 0) await client.query(`ALTER DATABASE ${quoteIdentifier(name)} IS_TEMPLATE false`);
  await client.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
}
