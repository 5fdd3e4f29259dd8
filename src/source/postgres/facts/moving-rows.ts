/**
 * Partitioned tables whose rows may lie in other partitions after a restore: those by hash, where the hash of a value
 * is made of what changes. An enum's is made of an OID, and so is a regclass's; that of a text with a collation for
 * which different strings are equal is made by a library of the server. Such rows have to come in through the whole
 * table, and its partitions can only be compared together.
 */
import type { Connection } from '../server/connection.ts';
import type { HashableTypes } from './hashable.ts';

export interface PartitionedTable {
  readonly schema: string;
  readonly name: string;
}

/** By the OID of each leaf of such a tree: the topmost table of it whose partitions rows may change. */
export async function readMovingRows(
  connection: Connection,
  types: HashableTypes,
): Promise<ReadonlyMap<string, PartitionedTable>> {
  const moving = (await connection.query(keysSql)).filter((row) => isMoving(row['keys'] ?? '[]', types));
  if (moving.length === 0) return new Map();
  const rows = await connection.query(leavesSql(moving.map((row) => row['oid'] ?? '')));
  return new Map(
    rows.map((row) => [row['leaf'] ?? '', { schema: row['schema'] ?? '', name: row['name'] ?? '' }] as const),
  );
}

/** Text of a JSON array of [type OID of the column or null for an expression, the operator class's, deterministic]. */
function isMoving(json: string, types: HashableTypes): boolean {
  const keys = JSON.parse(json) as [column: string | null, operand: string, isDeterministic: boolean][];
  return keys.some(([column, operand, isDeterministic]) => !isDeterministic || !types.hasStableHash(column ?? operand));
}

const keysSql = `
  SELECT p.partrelid AS oid,
    json_agg(json_build_array(a.atttypid::text, o.opcintype::text, l.collisdeterministic IS NOT FALSE)) AS keys
  FROM pg_partitioned_table p
  CROSS JOIN LATERAL ROWS FROM (unnest(p.partattrs), unnest(p.partclass), unnest(p.partcollation))
    AS k(attribute, operators, rules)
  JOIN pg_opclass o ON o.oid = k.operators
  LEFT JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = k.attribute AND k.attribute > 0
  LEFT JOIN pg_collation l ON l.oid = k.rules
  WHERE p.partstrat = 'h'
  GROUP BY p.partrelid`;

function leavesSql(moving: readonly string[]): string {
  const list = `'{${moving.join(',')}}'::oid[]`;
  return `
    SELECT t.relid::oid AS leaf, n.nspname AS schema, c.relname AS name
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL pg_partition_tree(c.oid) t
    WHERE c.oid = ANY (${list}) AND t.isleaf AND NOT EXISTS (
      SELECT FROM pg_partition_ancestors(c.oid) a(oid) WHERE a.oid <> c.oid AND a.oid = ANY (${list}))`;
}
