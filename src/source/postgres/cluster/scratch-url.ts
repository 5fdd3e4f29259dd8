/** How a server of our own making is reached: on a socket in its private folder, never on a port. */
import { PostgresUrl } from '../../../config/postgres-url.ts';
import type { Secret } from '../../../lib/secret.ts';

/** Database postgres of the server whose socket is in this folder; without a password, the folder keeps others out. */
export function scratchUrl(folder: string, user: string, password?: Secret): PostgresUrl {
  return new PostgresUrl({ host: folder, port: 5432, user, password, database: 'postgres', parameters: new Map() });
}
