/**
 * Whose rights a throwaway database is filled with. Constraints, indexes and materialized views call functions of
 * whoever owns the database: while they do, no role of the server but its hidden superuser is one, and the rows come
 * in by a real login of a role that is none and belongs to all owners. Definitions come in before, event triggers
 * after, as a superuser.
 */
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { withConnection } from '../server/connection.ts';
import { quoteIdentifier } from '../server/quote.ts';

export interface FillLogin {
  /** Of the role that fills. */
  readonly url: PostgresUrl;
  /** Runs `work` while nobody who can log in, or whom something belongs to, is a superuser. */
  withoutSuperusers<T>(work: () => Promise<T>): Promise<T>;
}

export interface FillRole {
  /** Of the server's first superuser, which nothing else uses and nothing belongs to. */
  readonly adminUrl: PostgresUrl;
  readonly admin: string;
  readonly url: PostgresUrl;
  /** Exists. */
  readonly role: string;
}

export function fillLogin({ adminUrl, admin, url, role }: FillRole): FillLogin {
  return {
    url,
    withoutSuperusers: async (work) => {
      const superusers = await demote(adminUrl, admin, role);
      try {
        return await work();
      } finally {
        await promote(adminUrl, superusers);
      }
    },
  };
}

/** Who was one. */
async function demote(url: PostgresUrl, admin: string, filler: string): Promise<readonly string[]> {
  return withConnection(url, {}, async (client) => {
    const rows = await client.query(
      `SELECT rolname::text AS name, rolsuper::text AS super FROM pg_roles
        WHERE rolname NOT IN ($1, $2) AND (rolname !~ '^pg_' OR rolname IN ('pg_read_all_data', 'pg_write_all_data'))`,
      [admin, filler],
    );
    const roles = rows.map(({ name, super: is }) => ({ name: name ?? '', isSuper: is === 'true' }));
    // What the owners of tables have taken from themselves the other two give: to read and to write.
    for (const { name } of roles) await client.query(`GRANT ${quoteIdentifier(name)} TO ${quoteIdentifier(filler)}`);
    const superusers = roles.flatMap(({ name, isSuper }) => (isSuper ? [name] : []));
    for (const name of superusers) await client.query(`ALTER ROLE ${quoteIdentifier(name)} NOSUPERUSER`);
    return superusers;
  });
}

async function promote(url: PostgresUrl, roles: readonly string[]): Promise<void> {
  await withConnection(url, {}, async (client) => {
    for (const name of roles) await client.query(`ALTER ROLE ${quoteIdentifier(name)} SUPERUSER`);
  });
}
