/** A check of foreign keys whose triggers did not run for restored rows. */
import { quoteLiteral, quoteQualified } from '../server/quote.ts';

/**
 * A DO block that raises foreign_key_violation if a row of these tables references one that is missing.
 * A key that references a partitioned table has constraints for each partition besides: those, whose parent
 * constraint is of the same table, do not count. A partly NULL key counts as empty (MATCH FULL never stores one).
 */
export function checkForeignKeysSql(tables: readonly { readonly schema: string; readonly name: string }[]): string {
  const names = tables.map(({ schema, name }) => quoteLiteral(quoteQualified(schema, name))).join(', ');
  return `
DO $lifeboat$ DECLARE k record; missing boolean; BEGIN
  FOR k IN
    SELECT c.conname AS name,
      c.conrelid::pg_catalog.regclass::text AS child,
      c.confrelid::pg_catalog.regclass::text AS parent,
      pg_catalog.string_agg(pg_catalog.format('c.%I OPERATOR(%s) p.%I', ca.attname,
        (SELECT pg_catalog.format('%I.%s', n.nspname, o.oprname)
        FROM pg_catalog.pg_operator o
        JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
        WHERE o.oid = u.op),
        pa.attname), ' AND ') AS same,
      pg_catalog.string_agg(pg_catalog.format('c.%I IS NOT NULL', ca.attname), ' AND ') AS filled
    FROM pg_catalog.pg_constraint c
    LEFT JOIN pg_catalog.pg_constraint up ON up.oid = c.conparentid
    CROSS JOIN LATERAL ROWS FROM (
      pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.confkey), pg_catalog.unnest(c.conpfeqop))
      AS u(child, parent, op)
    JOIN pg_catalog.pg_attribute ca ON ca.attrelid = c.conrelid AND ca.attnum = u.child
    JOIN pg_catalog.pg_attribute pa ON pa.attrelid = c.confrelid AND pa.attnum = u.parent
    WHERE c.contype = 'f' AND c.convalidated
      AND up.conrelid IS DISTINCT FROM c.conrelid
      AND c.conrelid = ANY (ARRAY[${names}]::pg_catalog.regclass[]::pg_catalog.oid[])
    GROUP BY c.oid, c.conname, c.conrelid, c.confrelid
  LOOP
    EXECUTE pg_catalog.format(
      'SELECT EXISTS (SELECT FROM ONLY %s c WHERE %s AND NOT EXISTS (SELECT FROM %s p WHERE %s))',
      k.child, k.filled, k.parent, k.same) INTO missing;
    IF missing THEN
      RAISE foreign_key_violation USING MESSAGE =
        pg_catalog.format('rows of %s reference rows of %s that are missing (constraint %I)',
        k.child, k.parent, k.name);
    END IF;
  END LOOP;
END $lifeboat$;
`;
}
