/**
 * What can be told of a server before a backup: version, identity, size, and each right or setting whose
 * lack would make the backup fail or be less than whole. Changes nothing.
 */
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { Problem, SourceInfo } from '../../source.ts';
import { type Connection, withConnection } from '../server/connection.ts';
import { sqlStateOf } from '../server/connection-errors.ts';
import { bareNamesProblem, findBareNames } from './bare-names.ts';
import { type LeftOut, chooseDatabases, leftOutText } from './choose-databases.ts';
import { readsPasswords } from './globals.ts';
import { assertHoldsSession } from '../server/pooler.ts';
import { findTools } from '../server/tools.ts';
import { readSystemId } from '../server/control.ts';

export interface ProbeOptions {
  readonly url: PostgresUrl;
  readonly databases: readonly string[];
  readonly toolFolder?: string | undefined;
  /** Look only at the server. */
  readonly withoutTools?: boolean;
}

/**
 * Connects to the server and to each database. Throws `source` (13) when that fails, `tool` (16) when no client
 * programs fit.
 */
export async function probeServer(options: ProbeOptions, signal?: AbortSignal): Promise<SourceInfo> {
  const server = await withConnection(options.url, { signal }, async (connection) => {
    if (options.withoutTools !== true) {
      await findTools(Math.floor(connection.serverVersionNum / 10000), { folder: options.toolFolder });
    }
    await assertHoldsSession(options.url, connection, signal);
    const { names, leftOut } = await chooseDatabases(connection, options.databases, options.url, signal);
    const problems = leftOut.map((each) => ({ message: leftOutText(each), hint: hintFor(each), fatal: false }));
    return {
      names,
      problems: [...problems, ...(await serverProblems(connection))],
      identity: await readIdentity(connection),
      version: await readVersion(connection),
    };
  });
  const problems = [...server.problems];
  let estimatedBytes = 0;
  for (const database of server.names) {
    await withConnection(options.url, { database, signal }, async (connection) => {
      problems.push(...(await databaseProblems(connection)));
      estimatedBytes += await estimate(connection);
    });
  }
  return {
    serverVersion: server.version,
    identity: { ...server.identity, databases: server.names.join(', ') },
    estimatedBytes,
    problems,
  };
}

function hintFor({ isData }: LeftOut): string {
  return isData
    ? 'let the user connect to it (ALTER DATABASE … ALLOW_CONNECTIONS, GRANT CONNECT) or drop it; or name the ' +
        'databases to back up in place of "*"'
    : 'keep what makes them, or name template1 among the databases to back up';
}

async function readIdentity(connection: Connection): Promise<Record<string, string>> {
  const systemIdentifier = await readSystemId(connection);
  return { server: connection.server, ...(systemIdentifier === undefined ? {} : { systemIdentifier }) };
}

async function readVersion(connection: Connection): Promise<string> {
  const rows = await connection.query("SELECT split_part(current_setting('server_version'), ' ', 1) AS version");
  return rows[0]?.['version'] ?? '';
}

async function serverProblems(connection: Connection): Promise<Problem[]> {
  const problems: Problem[] = [];
  if (!(await readsPasswords(connection))) {
    problems.push({
      message: 'role passwords cannot be read, so roles are backed up without them',
      hint: 'back up as a superuser, or keep the passwords elsewhere',
      fatal: false,
    });
  }
  const [row] = await connection.query(
    "SELECT pg_is_in_recovery() AS standby, current_setting('hot_standby_feedback') AS feedback",
  );
  if (row?.['standby'] === 't' && row['feedback'] !== 'on') {
    problems.push({
      message: 'the server is a standby that may cancel long reads (conflicts with recovery)',
      hint: 'set hot_standby_feedback = on there, or raise max_standby_streaming_delay',
      fatal: false,
    });
  }
  return problems;
}

async function databaseProblems(connection: Connection): Promise<Problem[]> {
  const problems: Problem[] = [];
  const tell = (objects: readonly string[], what: string, hint: string, fatal = true): void => {
    if (objects.length === 0) return;
    const named = objects.slice(0, 5).join(', ') + (objects.length > 5 ? ` and ${objects.length - 5} more` : '');
    problems.push({ message: `database ${connection.database}: ${what}: ${named}`, hint, fatal });
  };
  const names = async (sql: string): Promise<string[]> => (await connection.query(sql)).map((row) => row['name'] ?? '');
  const readAll =
    'GRANT pg_read_all_data TO the backup user (PostgreSQL 14 and later), or grant USAGE on schemas and SELECT on ' +
    'all tables and sequences';
  tell(await names(schemasSql), 'no right to use these schemas', readAll);
  tell(await names(tablesSql), 'no right to read these tables and sequences', readAll);
  tell(
    await names(policiesSql),
    'row-level security hides rows of these tables',
    'ALTER ROLE … BYPASSRLS for the backup user',
  );
  tell(
    await names(largeObjectsSql),
    'no right to read these large objects',
    'back up as their owner or as a superuser, or grant SELECT on each',
  );
  tell(
    await names(lockedSql),
    'these tables are locked exclusively now',
    'a backup would wait for them up to lockWaitTimeoutSeconds',
    false,
  );
  for (const bare of await findBareNames(connection)) {
    const { message, hint } = bareNamesProblem(bare);
    problems.push({ message: `database ${connection.database}: ${message}`, hint, fatal: false });
  }
  return problems;
}

const userObjects =
  "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend d WHERE " +
  "d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

const schemasSql = `
  SELECT DISTINCT quote_ident(n.nspname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'S') AND ${userObjects} AND NOT has_schema_privilege(n.oid, 'USAGE') ORDER BY 1`;

const tablesSql = `
  SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND ${userObjects}
    AND NOT CASE c.relkind
      WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
      ELSE has_table_privilege(c.oid, 'SELECT') END ORDER BY 1`;

const policiesSql = `
  SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND ${userObjects} AND row_security_active(c.oid) ORDER BY 1`;

/** Before version 18 there is no has_largeobject_privilege(). */
const largeObjectsSql = `
  SELECT m.oid::text AS name FROM pg_largeobject_metadata m
  WHERE current_setting('lo_compat_privileges') = 'off'
    AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
    AND NOT pg_has_role(m.lomowner, 'USAGE')
    AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) a
      WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
  ORDER BY m.oid`;

const lockedSql = `
  SELECT DISTINCT format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_locks l
  JOIN pg_class c ON c.oid = l.relation
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE l.mode = 'AccessExclusiveLock'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND c.relkind IN ('r', 'p') AND ${userObjects} ORDER BY 1`;

/**
 * What tables take on disk with TOAST, without indexes; about what a dump reads. To look at a table's
 * files takes a lock on it: where some session holds an exclusive one, the pages that the last ANALYZE
 * has counted must do.
 */
async function estimate(connection: Connection): Promise<number> {
  await connection.query("SET lock_timeout = '1s'");
  const rows = await connection.query(estimateSql('pg_table_size(c.oid)')).catch((error: unknown) => {
    if (sqlStateOf(error) !== '55P03') throw error;
    return connection.query(
      estimateSql(
        '(c.relpages + coalesce((SELECT t.relpages FROM pg_class t WHERE t.oid = c.reltoastrelid), 0))::bigint * ' +
          "current_setting('block_size')::bigint",
      ),
    );
  });
  return Number(rows[0]?.['bytes'] ?? 0);
}

function estimateSql(bytes: string): string {
  return `SELECT coalesce(sum(${bytes}), 0) AS bytes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r'
      AND ((n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') OR c.oid = 'pg_largeobject'::regclass)`;
}
