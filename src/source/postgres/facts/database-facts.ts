/**
 * What a dump of a single database leaves out (owner, locale, grants and settings of the database itself), and what a
 * restore is compared with, read in the dump's snapshot.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { Connection, Row } from '../server/connection.ts';
import type { DatabaseFacts } from './facts.ts';
import type { DatabaseGrant } from './access-list.ts';

/** All facts but those that the dump itself adds. */
export type CatalogFacts = Omit<
  DatabaseFacts,
  'snapshot' | 'artifacts' | 'tables' | 'largeObjects' | 'trustedExtensions'
>;

/** Reads the catalogs of the session's database. Throws `source` (13). */
export async function readCatalogFacts(connection: Connection): Promise<CatalogFacts> {
  const database = await readDatabase(connection);
  const accessList = await readAccessList(connection);
  return {
    ...database,
    ...(accessList === undefined ? {} : { accessList }),
    settings: (await connection.query(settingsSql)).map((row) => ({
      ...optional('role', row['role']),
      name: row['name'] ?? '',
      value: row['value'] ?? '',
    })),
    extensions: (await connection.query(extensionsSql)).map((row) => ({
      name: row['name'] ?? '',
      version: row['version'] ?? '',
      schema: row['schema'] ?? '',
    })),
    sequences: (await connection.query(sequencesSql)).map((row) => ({
      schema: row['schema'] ?? '',
      name: row['name'] ?? '',
      ...optional('lastValue', row['last_value']),
    })),
    publications: (await connection.query('SELECT pubname AS name FROM pg_publication ORDER BY pubname')).map(
      (row) => row['name'] ?? '',
    ),
    subscriptions: await readSubscriptions(connection),
  };
}

type DatabaseRow = Omit<
  CatalogFacts,
  'accessList' | 'grants' | 'settings' | 'extensions' | 'sequences' | 'publications' | 'subscriptions'
>;

async function readDatabase(connection: Connection): Promise<DatabaseRow> {
  const row = (await connection.query(databaseSql))[0] ?? {};
  // Columns came with versions 15 (provider), 16 (ICU rules) and 17 (datlocale for ICU and built-in).
  const column = (name: string): string | undefined =>
    (JSON.parse(row['columns'] ?? '{}') as Record<string, string | null>)[name] ?? undefined;
  const provider = column('datlocprovider') ?? 'c';
  if (provider !== 'c' && provider !== 'i' && provider !== 'b') {
    throw new LifeboatError('source', `unknown locale provider "${provider}" of database ${connection.database}`);
  }
  return {
    name: row['name'] ?? '',
    owner: row['owner'] ?? '',
    encoding: row['encoding'] ?? '',
    collate: row['collate'] ?? '',
    ctype: row['ctype'] ?? '',
    localeProvider: provider,
    ...optional('locale', column('datlocale') ?? column('daticulocale')),
    ...optional('icuRules', column('daticurules')),
    tablespace: row['tablespace'] ?? '',
    connectionLimit: Number(row['connection_limit']),
    isTemplate: row['is_template'] === 't',
    ...optional('comment', row['comment']),
  };
}

const databaseSql = `
  SELECT d.datname AS name, pg_get_userbyid(d.datdba) AS owner, pg_encoding_to_char(d.encoding) AS encoding,
    d.datcollate AS collate, d.datctype AS ctype,
    (SELECT spcname FROM pg_tablespace WHERE oid = d.dattablespace) AS tablespace,
    d.datconnlimit AS connection_limit, d.datistemplate AS is_template,
    shobj_description(d.oid, 'pg_database') AS comment, row_to_json(d) AS columns
  FROM pg_database d WHERE d.datname = current_database()`;

/** The database's access list; undefined when it is the default. */
async function readAccessList(connection: Connection): Promise<DatabaseGrant[] | undefined> {
  const [list] = await connection.query(
    'SELECT datacl IS NULL AS is_default FROM pg_database WHERE datname = current_database()',
  );
  if (list?.['is_default'] === 't') return undefined;
  const rows = await connection.query(`
    SELECT CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END AS role, a.is_grantable AS grantable,
      string_agg(a.privilege_type, ',' ORDER BY a.privilege_type) AS privileges
    FROM pg_database d, aclexplode(d.datacl) a
    WHERE d.datname = current_database()
    GROUP BY a.grantee, a.is_grantable
    ORDER BY a.grantee, a.is_grantable`);
  return rows.map((row) => ({
    ...optional('role', row['role']),
    privileges: (row['privileges'] ?? '').split(',') as DatabaseGrant['privileges'],
    grantable: row['grantable'] === 't',
  }));
}

const settingsSql = `
  SELECT CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END AS role,
    split_part(c.line, '=', 1) AS name, substr(c.line, strpos(c.line, '=') + 1) AS value
  FROM pg_db_role_setting s, unnest(s.setconfig) WITH ORDINALITY c(line, n)
  WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY s.setrole, c.n`;

const extensionsSql = `
  SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY e.extname`;

/** Not those of temporary tables, nor members of extensions. No value: never called, or not readable. */
const sequencesSql = `
  SELECT n.nspname AS schema, c.relname AS name,
    CASE WHEN has_sequence_privilege(c.oid, 'SELECT, USAGE') AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
      THEN pg_sequence_last_value(c.oid) END AS last_value
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

/** Names only: their connection strings hold passwords. Those columns that hold none are readable by all. */
async function readSubscriptions(connection: Connection): Promise<string[]> {
  const sql =
    'SELECT subname AS name FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = ' +
    'current_database()) ORDER BY subname';
  return (await connection.query(sql)).map((row) => row['name'] ?? '');
}

/**
 * Counts, true sizes (holes included) and a fingerprint of all large objects; the latter two where pg_largeobject may
 * be read. Runs inside the snapshot.
 */
export async function readLargeObjects(connection: Connection): Promise<DatabaseFacts['largeObjects']> {
  const count = (await connection.query('SELECT count(*) AS n FROM pg_largeobject_metadata'))[0]?.['n'] ?? '0';
  if (count === '0') return { count, bytes: '0' };
  const readable =
    (await connection.query("SELECT has_table_privilege('pg_largeobject', 'SELECT') AS yes"))[0]?.['yes'] === 't';
  if (!readable) return { count, bytes: '0' };
  const row: Row = (await connection.query(largeObjectsSql(connection.serverVersionNum)))[0] ?? {};
  return { count, bytes: row['bytes'] ?? '0', fingerprint: row['fingerprint'] ?? '0' };
}

/**
 * A hole is read as zeros and restored as such, so pages count without the zeros at their end, and empty ones not at
 * all.
 */
function largeObjectsSql(serverVersionNum: number): string {
  // rtrim(bytea) came with version 14; the hexadecimal text of 13 is trimmed in whole bytes.
  const trimmed =
    serverVersionNum >= 140000
      ? "rtrim(data, '\\x00'::bytea)"
      : "decode(regexp_replace(encode(data, 'hex'), '(00)+$', ''), 'hex')";
  return `
    SELECT sum(bytes) AS bytes, sum(hashint8extended(bytes, loid::int8) + 0::numeric) + sum(pages) AS fingerprint
    FROM (SELECT loid, max(pageno::int8 * (current_setting('block_size')::int / 4) + length(data)) AS bytes,
            sum(CASE WHEN length(page) > 0
              THEN hashtextextended(encode(page, 'hex') COLLATE "C", loid::int8 << 31 | pageno) ELSE 0 END) AS pages
          FROM (SELECT loid, pageno, data, ${trimmed} AS page FROM pg_largeobject) p GROUP BY loid) o`;
}

/** `{}` for what is not there: optional fields are left out, not null. */
function optional<K extends string>(name: K, value: string | null | undefined): { readonly [P in K]?: string } {
  return value === null || value === undefined ? {} : ({ [name]: value } as { readonly [P in K]: string });
}
