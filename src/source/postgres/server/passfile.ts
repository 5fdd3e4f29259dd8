/** The password of a connection: the URL's own, else that of its password file. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { findInPassfile } from '../../../config/pgpass.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';

/** The URL's own password, else that of its passfile or of ~/.pgpass; undefined when none fits. */
export async function findPassword(url: PostgresUrl): Promise<string | undefined> {
  if (url.password !== undefined) return url.password.reveal();
  const path = url.parameters.get('passfile') ?? join(homedir(), '.pgpass');
  return findInPassfile(path, { host: url.host, port: String(url.port), database: url.database, user: url.user });
}
