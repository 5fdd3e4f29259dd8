/** Which sequences belong to columns. */
import type { Connection } from '../server/connection.ts';
import type { OwnedSequence } from './pg-dump.ts';

/** Sequences that belong to columns; pg_dump takes them along with a table. */
export async function readOwnedSequences(connection: Connection): Promise<OwnedSequence[]> {
  const rows = await connection.query(`
    SELECT sn.nspname AS schema, s.relname AS name, tn.nspname AS table_schema, t.relname AS table_name
    FROM pg_depend d
      JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
      JOIN pg_namespace sn ON sn.oid = s.relnamespace
      JOIN pg_class t ON t.oid = d.refobjid
      JOIN pg_namespace tn ON tn.oid = t.relnamespace
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0`);
  return rows.map((row) => ({
    schema: row['schema'] ?? '',
    name: row['name'] ?? '',
    tableSchema: row['table_schema'] ?? '',
    tableName: row['table_name'] ?? '',
  }));
}
