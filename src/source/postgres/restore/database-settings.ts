/**
 * What belongs to a database but stands in no dump of it: owner, comment, grants, settings of the
 * database and of roles in it, connection limit, template flag.
 */
import type { EventSink } from '../../../lib/events.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { type DatabaseGrant, accessListOf } from '../facts/access-list.ts';
import { namesInList } from '../facts/search-path.ts';
import { type Queries, serverWords } from '../server/maintenance.ts';
import { quoteIdentifier, quoteLiteral } from '../server/quote.ts';
import { looksLikeMark } from './unfinished.ts';

export interface SettingsOptions {
  /** Whose rights decide what may be set; undefined: those of the session. */
  readonly asRole: string | undefined;
  readonly emit: EventSink;
}

/**
 * ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET: before the objects, since their definitions
 * may read settings of the application. What cannot be set (a role or parameter is missing) is a warning.
 */
export async function applySettings(
  client: Queries,
  facts: DatabaseFacts,
  name: string,
  { asRole, emit }: SettingsOptions,
): Promise<void> {
  const database = quoteIdentifier(name);
  await inTransaction(client, async () => {
    if (asRole !== undefined) {
      // Only its owner may set anything of a database; nobody else ever sees this one.
      await client.query(`ALTER DATABASE ${database} OWNER TO ${quoteIdentifier(asRole)}`);
      await client.query(`SET LOCAL ROLE ${quoteIdentifier(asRole)}`);
    }
    for (const { role, name: parameter, value } of facts.settings) {
      const whose =
        role === undefined ? `DATABASE ${database}` : `ROLE ${quoteIdentifier(role)} IN DATABASE ${database}`;
      const statement = `ALTER ${whose} SET ${quoteParameter(parameter)} TO ${settingValue(parameter, value)}`;
      const of = `${role === undefined ? '' : `role "${role}" in `}database "${facts.name}"`;
      await attempt(client, statement, `the setting ${parameter} of ${of}`, emit);
    }
    if (asRole !== undefined) {
      await client.query('SET LOCAL ROLE NONE');
      await client.query(`ALTER DATABASE ${database} OWNER TO SESSION_USER`);
    }
  });
}

export interface FinishOptions {
  /** Undefined: whoever made it. */
  readonly owner: string | undefined;
  readonly noAcl: boolean;
  readonly emit: EventSink;
}

/**
 * Gives a finished database its name, comment, grants, owner, limit: all in one transaction, the commit
 * point of a restore. The restore's sessions commit asynchronously; flushing this commit's WAL flushes theirs,
 * which lie before it, so success is durable.
 */
export async function finishDatabase(
  client: Queries,
  facts: DatabaseFacts,
  from: string,
  to: string,
  options: FinishOptions,
): Promise<void> {
  const quoted = quoteIdentifier(to);
  const { owner } = options;
  await inTransaction(client, async () => {
    await client.query('SET LOCAL synchronous_commit = on');
    await client.query(`ALTER DATABASE ${quoteIdentifier(from)} RENAME TO ${quoted}`);
    const comment = commentOf(facts, options.emit);
    await client.query(`COMMENT ON DATABASE ${quoted} IS ${comment === undefined ? 'NULL' : quoteLiteral(comment)}`);
    if (!options.noAcl) {
      for (const statement of grantsOf(facts, quoted, options.emit)) {
        await attempt(client, statement, `a grant on database "${facts.name}"`, options.emit);
      }
    }
    if (facts.connectionLimit !== -1) {
      await client.query(`ALTER DATABASE ${quoted} CONNECTION LIMIT ${facts.connectionLimit}`);
    }
    if (facts.isTemplate) await client.query(`ALTER DATABASE ${quoted} IS_TEMPLATE true`);
    if (owner !== undefined) {
      const statement = `ALTER DATABASE ${quoted} OWNER TO ${quoteIdentifier(owner)}`;
      await attempt(client, statement, `the owner "${owner}" of database "${facts.name}"`, options.emit);
    }
  });
}

async function inTransaction(client: Queries, work: () => Promise<void>): Promise<void> {
  await client.query('BEGIN');
  try {
    await work();
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

/** One that would make a finished database look like an unfinished one is left out. */
function commentOf({ comment, name }: DatabaseFacts, emit: EventSink): string | undefined {
  if (comment === undefined || !looksLikeMark(comment)) return comment;
  emit({
    type: 'warning',
    component: 'postgres',
    message: `the comment of database "${name}" was not restored: it reads like the mark of an unfinished restore`,
  });
  return undefined;
}

/** A fresh database lets PUBLIC connect and make temporary tables; a recorded list begins at nothing. */
function grantsOf(facts: DatabaseFacts, quoted: string, emit: EventSink): string[] {
  const { grants, refused } = accessListOf(facts);
  for (const text of refused) {
    const message = `a grant on database "${facts.name}" was not restored: the backup records it as "${text}"`;
    emit({ type: 'warning', component: 'postgres', message });
  }
  if (grants === undefined) return [];
  return [`REVOKE ALL ON DATABASE ${quoted} FROM PUBLIC`, ...grants.map((grant) => grantStatement(grant, quoted))];
}

function grantStatement({ role, privileges, grantable }: DatabaseGrant, quoted: string): string {
  const whom = role === undefined ? 'PUBLIC' : quoteIdentifier(role);
  return `GRANT ${privileges.join(', ')} ON DATABASE ${quoted} TO ${whom}${grantable ? ' WITH GRANT OPTION' : ''}`;
}

async function attempt(client: Queries, statement: string, what: string, emit: EventSink): Promise<void> {
  await client.query('SAVEPOINT one');
  try {
    await client.query(statement);
  } catch (error) {
    await client.query('ROLLBACK TO SAVEPOINT one');
    emit({ type: 'warning', component: 'postgres', message: `${what} was not restored: ${serverWords(error)}` });
  }
}

/** Statements that make `to` bear what `from` bears, owner last; both are names of databases of this server. */
export async function copyStatements(client: Queries, from: string, to: string): Promise<string[]> {
  const quoted = quoteIdentifier(to);
  const rows = await client.query(
    'SELECT pg_get_userbyid(datdba)::text AS owner, datconnlimit AS "limit", shobj_description(oid, ' +
      "'pg_database') AS comment, datistemplate AS template, datacl IS NOT NULL AS acl, oid::text AS oid " +
      'FROM pg_database WHERE datname = $1',
    [from],
  );
  const row = rows[0];
  if (row === undefined) return [];
  const statements = [
    `COMMENT ON DATABASE ${quoted} IS ${typeof row['comment'] === 'string' ? quoteLiteral(row['comment']) : 'NULL'}`,
  ];
  statements.push(`ALTER DATABASE ${quoted} RESET ALL`, ...(await roleSettingResets(client, to)));
  const settings = await client.query(
    'SELECT CASE WHEN setrole = 0 THEN NULL ELSE pg_get_userbyid(setrole)::text END AS role, unnest(setconfig) AS ' +
      'setting FROM pg_db_role_setting WHERE setdatabase = $1::oid',
    [row['oid'] ?? null],
  );
  for (const { role, setting } of settings) {
    const text = String(setting);
    const at = text.indexOf('=');
    const whose =
      typeof role === 'string' ? `ROLE ${quoteIdentifier(role)} IN DATABASE ${quoted}` : `DATABASE ${quoted}`;
    statements.push(
      `ALTER ${whose} SET ${quoteParameter(text.slice(0, at))} TO ` +
        settingValue(text.slice(0, at), text.slice(at + 1)),
    );
  }
  statements.push(
    `ALTER DATABASE ${quoted} CONNECTION LIMIT ${Number(row['limit'])}`,
    `ALTER DATABASE ${quoted} IS_TEMPLATE ${row['template'] === 't'}`,
    `ALTER DATABASE ${quoted} OWNER TO ${quoteIdentifier(String(row['owner']))}`,
  );
  if (row['acl'] === 't') {
    statements.push(...(await grantStatements(client, String(row['oid']), String(row['owner']), quoted)));
  }
  return statements;
}

async function roleSettingResets(client: Queries, database: string): Promise<string[]> {
  const rows = await client.query(
    'SELECT pg_get_userbyid(setrole)::text AS role FROM pg_db_role_setting s JOIN pg_database d ON d.oid = ' +
      's.setdatabase WHERE d.datname = $1 AND setrole <> 0',
    [database],
  );
  return rows.map(
    ({ role }) => `ALTER ROLE ${quoteIdentifier(String(role))} IN DATABASE ${quoteIdentifier(database)} RESET ALL`,
  );
}

/** Grants as they are: everything taken away first, the owner's own rights too. */
async function grantStatements(client: Queries, oid: string, owner: string, quoted: string): Promise<string[]> {
  const rows = await client.query(
    'SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee)::text END AS grantee, ' +
      'a.privilege_type AS right, a.is_grantable AS grantable FROM pg_database d, aclexplode(d.datacl) a WHERE ' +
      'd.oid = $1::oid',
    [oid],
  );
  const grants = rows.map(({ grantee, right, grantable }) => {
    const whom = typeof grantee === 'string' ? quoteIdentifier(grantee) : 'PUBLIC';
    return `GRANT ${String(right)} ON DATABASE ${quoted} TO ${whom}${grantable === 't' ? ' WITH GRANT OPTION' : ''}`;
  });
  return [
    `REVOKE ALL ON DATABASE ${quoted} FROM PUBLIC`,
    `REVOKE ALL ON DATABASE ${quoted} FROM ${quoteIdentifier(owner)}`,
    ...grants,
  ];
}

/**
 * Settings whose value is a list of names: SET takes each as a string of its own, else the list would become one name.
 */
const listSettings = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
]);

/** As SET takes it: `"$user", public` → `'$user', 'public'` for lists of names; a string constant for all else. */
export function settingValue(parameter: string, value: string): string {
  if (!listSettings.has(parameter.toLowerCase())) return quoteLiteral(value);
  const names = namesInList(value);
  return names.length === 0 ? "''" : names.map(quoteLiteral).join(', ');
}

/** `app.user` → `"app"."user"`. */
function quoteParameter(name: string): string {
  return name.split('.').map(quoteIdentifier).join('.');
}
