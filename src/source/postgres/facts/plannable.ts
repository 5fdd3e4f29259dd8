/**
 * On which relations a SELECT may be planned. The planner runs IMMUTABLE functions that stand in a table's index
 * expressions and predicates, statistics and constraints, whoever wrote them, with the rights of the session; a cast
 * to text may be somebody's function, too. So no SELECT of ours is planned on a relation from which the catalog leads,
 * over whatever objects, to a function that is not PostgreSQL's own: it is read by a plain COPY, which plans nothing.
 * What the catalog says counts, by OID, not names that anybody may give.
 */
import type { Connection } from '../server/connection.ts';
import { quoteLiteral } from '../server/quote.ts';

/**
 * OIDs of the relations of this database on which no SELECT may be planned. `trusted`: names of extensions besides
 * those of PostgreSQL's own. Throws `source` (13).
 */
export async function readUnplannable(
  connection: Connection,
  trusted: readonly string[] = [],
): Promise<ReadonlySet<string>> {
  const rows = await connection.query(unplannableSql([...trustedExtensions, ...trusted]));
  return new Set(rows.map((row) => row['oid'] ?? ''));
}

/**
 * Extensions of PostgreSQL's own that only compute with what they are given (others run SQL from their arguments).
 *
 * Of these, and of those that the administrator names, functions in C are trusted and no others. Only a superuser can
 * make one, so a name that is trusted lends nothing to who owns the extension and may add functions of theirs to it:
 * whoever created it, which for a "trusted" extension is the database's owner. Nor would it help to trust all of an
 * extension that a superuser owns: its functions in SQL find others by search_path, which is PostgreSQL's own in our
 * sessions, so that planning them would fail. Constructors of ranges are PostgreSQL's own, too: an internal part of the
 * type.
 */
const trustedExtensions = [
  'bloom',
  'btree_gin',
  'btree_gist',
  'citext',
  'cube',
  'fuzzystrmatch',
  'hstore',
  'intarray',
  'isn',
  'ltree',
  'pg_trgm',
  'pgcrypto',
  'seg',
  'unaccent',
  'uuid-ossp',
];

/** PostgreSQL's FirstNormalObjectId: what initdb makes is below. */
export const firstOid = 16384;

/** Not what is run or folded when a query is planned, and not what only holds other things together. */
const passedOver = ['pg_trigger', 'pg_event_trigger', 'pg_extension', 'pg_publication', 'pg_subscription'];

/**
 * From the functions that are not trusted to all that depends on them. A part leads to its whole (an index to its
 * table); a relation leads only to its row type, to its table and to its partitions: who references a table by a
 * foreign key or reads it in a view does not run what hangs on it.
 */
const unplannableSql = (trusted: readonly string[]): string => `
  WITH RECURSIVE reached(classid, objid) AS (
    SELECT 'pg_proc'::regclass::oid, p.oid
    FROM pg_proc p
    WHERE p.oid >= ${firstOid} AND NOT (
      p.prolang IN (SELECT l.oid FROM pg_language l WHERE l.lanname IN ('c', 'internal') AND l.oid < ${firstOid})
      AND EXISTS (
        SELECT FROM pg_depend d
        LEFT JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
          AND (d.deptype = 'e' AND e.extname IN (${trusted.map(quoteLiteral).join(', ')})
            OR d.deptype = 'i' AND d.refclassid = 'pg_type'::regclass)))
    UNION
    SELECT n.classid, n.objid
    FROM reached r
    CROSS JOIN LATERAL (
      SELECT d.classid, d.objid
        FROM pg_depend d
        WHERE d.refclassid = r.classid AND d.refobjid = r.objid AND r.classid <> 'pg_class'::regclass
          AND d.classid NOT IN (${passedOver.map((each) => `'${each}'::regclass`).join(', ')})
      UNION ALL SELECT 'pg_type'::regclass, c.reltype
        FROM pg_class c
        WHERE r.classid = 'pg_class'::regclass AND c.oid = r.objid
      UNION ALL SELECT 'pg_class'::regclass, i.indrelid
        FROM pg_index i
        WHERE r.classid = 'pg_class'::regclass AND i.indexrelid = r.objid
      UNION ALL SELECT 'pg_class'::regclass, i.inhrelid
        FROM pg_inherits i
        WHERE r.classid = 'pg_class'::regclass AND i.inhparent = r.objid
      UNION ALL SELECT 'pg_class'::regclass, a.adrelid
        FROM pg_attrdef a
        WHERE r.classid = 'pg_attrdef'::regclass AND a.oid = r.objid
      UNION ALL SELECT 'pg_class'::regclass, k.conrelid
        FROM pg_constraint k
        WHERE r.classid = 'pg_constraint'::regclass AND k.oid = r.objid
      UNION ALL SELECT 'pg_type'::regclass, k.contypid
        FROM pg_constraint k
        WHERE r.classid = 'pg_constraint'::regclass AND k.oid = r.objid
      UNION ALL SELECT 'pg_class'::regclass, p.polrelid
        FROM pg_policy p
        WHERE r.classid = 'pg_policy'::regclass AND p.oid = r.objid
      UNION ALL SELECT 'pg_class'::regclass, w.ev_class
        FROM pg_rewrite w
        WHERE r.classid = 'pg_rewrite'::regclass AND w.oid = r.objid
      UNION ALL SELECT 'pg_class'::regclass, s.stxrelid
        FROM pg_statistic_ext s
        WHERE r.classid = 'pg_statistic_ext'::regclass AND s.oid = r.objid
      UNION ALL SELECT 'pg_type'::regclass, t.oid
        FROM pg_cast k
        CROSS JOIN LATERAL (VALUES (k.castsource), (k.casttarget)) AS t(oid)
        WHERE r.classid = 'pg_cast'::regclass AND k.oid = r.objid
      UNION ALL SELECT 'pg_type'::regclass, o.opcintype
        FROM pg_opclass o
        WHERE r.classid = 'pg_opclass'::regclass AND o.oid = r.objid
      UNION ALL SELECT 'pg_opfamily'::regclass, m.amprocfamily
        FROM pg_amproc m
        WHERE r.classid = 'pg_amproc'::regclass AND m.oid = r.objid
      UNION ALL SELECT 'pg_type'::regclass, t.oid
        FROM pg_amproc m
        CROSS JOIN LATERAL (VALUES (m.amproclefttype), (m.amprocrighttype)) AS t(oid)
        WHERE r.classid = 'pg_amproc'::regclass AND m.oid = r.objid
      UNION ALL SELECT 'pg_opfamily'::regclass, m.amopfamily
        FROM pg_amop m
        WHERE r.classid = 'pg_amop'::regclass AND m.oid = r.objid
    ) n(classid, objid)
    WHERE n.objid >= ${firstOid}
  )
  SELECT objid AS oid FROM reached WHERE classid = 'pg_class'::regclass`;
