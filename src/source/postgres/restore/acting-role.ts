/**
 * A restore that works as a role of fewer rights than whoever logs in: what it makes belongs to that role, and what
 * definitions call runs with that role's rights. Sessions begin as the role, so RESET ROLE leads to it as well; but
 * this is no wall, since PostgreSQL lets code in such a session become the login again (SET ROLE NONE). Who logs in
 * makes the database and owns it until the end, since by its owner an unfinished one is known as ours.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { withConnection } from '../server/connection.ts';
import type { Queries } from '../server/maintenance.ts';
import { quoteIdentifier } from '../server/quote.ts';

/**
 * Throws `not_found` (10) for a role that the server does not have, `usage` (2) for one that is a superuser or may
 * become one, or as which whoever logged in may not work.
 */
export async function requireActingRole(client: Queries, role: string): Promise<void> {
  const [row] = await client.query(actingRoleSql, [role]);
  const named = `role ${quoteIdentifier(role)}`;
  const state = 'nothing was changed';
  if (row === undefined) {
    const hint = `make it: CREATE ROLE ${quoteIdentifier(role)}`;
    throw new LifeboatError('not_found', `cannot restore as ${named}: the server has none of that name`, {
      state,
      hint,
    });
  }
  if (row['super'] === 't') {
    throw new LifeboatError('usage', `cannot restore as ${named}: it is a superuser, or may become one`, {
      state,
      hint: 'name a role without such rights; as a superuser restore without --as-role',
    });
  }
  if (row['may'] !== 't') {
    const login = row['login'] ?? '';
    throw new LifeboatError('usage', `cannot restore as ${named}: ${quoteIdentifier(login)} may not work as that one`, {
      state,
      hint: `as a superuser: GRANT ${quoteIdentifier(role)} TO ${quoteIdentifier(login)}`,
    });
  }
}

/** Before 16 whoever belongs to a role may set it. */
const actingRoleSql = `
  SELECT session_user::text AS login, pg_has_role(r.oid, 'USAGE') AND pg_has_role(r.oid,
      CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) AS may,
    EXISTS (SELECT FROM pg_roles s WHERE s.rolsuper AND pg_has_role(r.oid, s.oid, 'MEMBER')) AS super
  FROM pg_roles r WHERE r.rolname = $1`;

/** What a role needs that is to fill a database of ours, and how it is taken back. */
export interface LentDatabase {
  /** Gives back what is not to stay. */
  takeBack(): Promise<void>;
}

/**
 * Lets the role make schemas, and objects in the schema public, which is its own until that is taken back. Where the
 * schema is not ours to give (before PostgreSQL 15, by a login that is no superuser) everybody may create in it anyhow.
 */
export async function lendDatabase(url: PostgresUrl, database: string, role: string): Promise<LentDatabase> {
  const settings = { database, changes: true };
  const owner = await withConnection(url, settings, async (client) => {
    const rights = `CREATE, CONNECT, TEMPORARY ON DATABASE ${quoteIdentifier(database)}`;
    await client.query(`GRANT ${rights} TO ${quoteIdentifier(role)}`);
    const [schema] = await client.query(ownedPublicSql);
    if (schema === undefined) return undefined;
    await client.query(`ALTER SCHEMA public OWNER TO ${quoteIdentifier(role)}`);
    return schema['owner'] ?? '';
  });
  return {
    takeBack: async () => {
      if (owner === undefined) return;
      await withConnection(url, settings, async (client) => {
        await client.query(`ALTER SCHEMA public OWNER TO ${quoteIdentifier(owner)}`);
      });
    },
  };
}

const ownedPublicSql = `SELECT pg_get_userbyid(nspowner)::text AS owner FROM pg_namespace
  WHERE nspname = 'public' AND pg_has_role(nspowner, 'USAGE')`;
