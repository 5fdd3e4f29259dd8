/** The tables and materialized views of a database, with what is needed to count and to hash each. */
import type { Connection } from '../server/connection.ts';
import { isSpeakable } from '../server/quote.ts';
import { type HashableTypes, readHashableTypes } from './hashable.ts';
import { type PartitionedTable, readMovingRows } from './moving-rows.ts';
import { firstOid, readUnplannable } from './plannable.ts';

/** An ordinary table (a partition too) or a materialized view, with what is needed to read it. */
export interface Relation {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly kind: 'r' | 'm';
  /** Size on disk with TOAST, bytes. */
  readonly bytes: number;
  /** In the order of their names. */
  readonly columns: readonly RelationColumn[];
  /** False: a SELECT on it could run code of its owner's with our rights. See plannable.ts. */
  readonly isPlannable: boolean;
  /**
   * Somebody with less than our rights owns it, or may give its name to another: it may change between the look and the
   * query. See plan-guard.ts.
   */
  readonly isInOthersHands: boolean;
  /** Of a partition: the table within which its rows may lie elsewhere after a restore. See moving-rows.ts. */
  readonly movesWithin: PartitionedTable | undefined;
}

export interface RelationColumn {
  readonly name: string;
  /**
   * How the value is hashed: as it is, with its shape (arrays), by its bytes (a collation of its own calls different
   * strings equal), as text, or as its output function writes it: a cast of a user's type may be its owner's function,
   * made at any moment.
   */
  readonly as: 'value' | 'array' | 'bytes' | 'text' | 'output';
  /** Stored, but made from others. */
  readonly isGenerated: boolean;
}

/**
 * Ordinary tables and filled materialized views of the database, but temporary ones and those that belong to
 * extensions. `trusted`: see readUnplannable().
 */
export async function listRelations(connection: Connection, trusted: readonly string[] = []): Promise<Relation[]> {
  const types = await readHashableTypes(connection);
  const unplannable = await readUnplannable(connection, trusted);
  const moving = await readMovingRows(connection, types);
  const rows = await connection.query(relationsSql);
  return rows.map((row) => ({
    oid: row['oid'] ?? '',
    schema: row['schema'] ?? '',
    name: row['name'] ?? '',
    kind: row['kind'] === 'm' ? 'm' : 'r',
    bytes: Number(row['bytes']),
    columns: columnsOf(row['columns'] ?? '[]', types),
    isPlannable: !unplannable.has(row['oid'] ?? ''),
    isInOthersHands: row['others'] === 't',
    movesWithin: moving.get(row['oid'] ?? ''),
  }));
}

/** Not materialized views, and not what cannot be named on a program's input. */
export function isCopyable(relation: Relation): boolean {
  return relation.kind === 'r' && isSpeakable(...namesOf(relation));
}

/** Of the relation and its columns. */
export function namesOf({ schema, name, columns }: Relation): string[] {
  return [schema, name, ...columns.map((column) => column.name)];
}

/** By code units: the same on every machine. */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Text of a JSON array of [name, type OID, deterministic collation, generated]. */
function columnsOf(json: string, types: HashableTypes): RelationColumn[] {
  const columns = JSON.parse(json) as [name: string, type: string, deterministic: boolean, isGenerated: boolean][];
  const how = (type: string, deterministic: boolean): RelationColumn['as'] => {
    if (!types.isHashable(type) || (types.isArray(type) && !deterministic)) {
      return Number(type) < firstOid ? 'text' : 'output';
    }
    if (types.isArray(type)) return 'array';
    return deterministic ? 'value' : 'bytes';
  };
  return columns
    .map(([name, type, deterministic, isGenerated]) => ({ name, as: how(type, deterministic), isGenerated }))
    .sort((a, b) => compareNames(a.name, b.name));
}

/** Of a role: nothing is gained by whoever owns what a superuser or the session's own user owns. */
function isOurs(role: string): string {
  return `${role} IN (SELECT o.oid FROM ours o)`;
}

/**
 * The owner of a partitioned table may index its partitions, and the owner of a schema may drop what is in it and
 * rename it. Who belongs to a role is that role. pg_database_owner stands for the owner of this database.
 *
 * Virtual generated columns hold nothing; stored ones count. On a standby unlogged tables cannot be read, and a dump
 * leaves their rows out.
 */
const relationsSql = `
  WITH ours(oid) AS (
    SELECT r.oid FROM pg_roles r
    WHERE r.rolsuper OR r.rolname = session_user OR r.rolname = 'pg_database_owner' AND EXISTS (
      SELECT FROM pg_database d JOIN pg_roles o ON o.oid = d.datdba
      WHERE d.datname = current_database() AND (o.rolsuper OR o.rolname = session_user)))
  SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, pg_table_size(c.oid) AS bytes,
    (SELECT json_agg(json_build_array(
        a.attname, a.atttypid::text, l.collisdeterministic IS NOT FALSE, a.attgenerated <> ''))
     FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v') AS columns,
    NOT (${isOurs('c.relowner')} AND ${isOurs('n.nspowner')}) OR c.relispartition AND EXISTS (
      SELECT FROM pg_partition_ancestors(c.oid) t(oid) JOIN pg_class p ON p.oid = t.oid
      WHERE NOT ${isOurs('p.relowner')}) AS others
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
    AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`;
