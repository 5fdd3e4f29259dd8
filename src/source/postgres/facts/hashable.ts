/**
 * Which types may be hashed as they are. PostgreSQL's own hash of a value must exist, must be the same
 * after a restore (an enum's is made of an OID, which changes), and must not call values equal that
 * differ in their bytes by letter case. All others are hashed as text.
 */
import type { Connection } from '../server/connection.ts';

/** Answers for type OIDs. */
export interface HashableTypes {
  isHashable(typeOid: string): boolean;
  /** An array, or a domain over one: its hash leaves the shape out. */
  isArray(typeOid: string): boolean;
  /** Whether PostgreSQL's hash of a value is the same after a restore. Of a type that no column has: false. */
  hasStableHash(typeOid: string): boolean;
}

interface TypeRow {
  readonly name: string;
  readonly kind: string;
  readonly builtIn: boolean;
  readonly parts: readonly string[];
}

/** Built-in base types with a hash that is a function of the value alone. */
const plain = new Set(
  (
    'bool int2 int4 int8 numeric float4 float8 text varchar bpchar bytea date time timetz timestamp timestamptz ' +
    'interval uuid inet cidr macaddr macaddr8 jsonb char name oid pg_lsn tid'
  ).split(' '),
);

/** Reads all types that columns of ordinary tables are made of, parts of parts included. */
export async function readHashableTypes(connection: Connection): Promise<HashableTypes> {
  const rows = await connection.query(typesSql(connection.serverVersionNum));
  const types = new Map<string, TypeRow>();
  for (const row of rows) {
    types.set(row['oid'] ?? '', {
      name: row['name'] ?? '',
      kind: row['kind'] ?? '',
      builtIn: row['built_in'] === 't',
      parts: (row['parts'] ?? '').split(' ').filter((each) => each !== ''),
    });
  }
  const known = new Map<string, boolean>();
  const isHashable = (oid: string): boolean => {
    let answer = known.get(oid);
    if (answer === undefined) known.set(oid, (answer = judge(types.get(oid), isHashable)));
    return answer;
  };
  const isArray = (oid: string): boolean => {
    const type = types.get(oid);
    if (type?.kind === 'd') return isArray(type.parts[0] ?? '');
    return type?.kind === 'b' && type.parts.length > 0;
  };
  const stable = new Map<string, boolean>();
  const hasStableHash = (oid: string): boolean => {
    let answer = stable.get(oid);
    if (answer === undefined) stable.set(oid, (answer = keepsHash(types.get(oid), hasStableHash)));
    return answer;
  };
  return { isHashable, isArray, hasStableHash };
}

/** Values of these are OIDs of what is made anew. */
const objectTypes =
  /^reg(class|proc|procedure|oper|operator|type|role|namespace|config|dictionary|collation|database)$/;

function keepsHash(type: TypeRow | undefined, hasStableHash: (oid: string) => boolean): boolean {
  if (type === undefined) return false;
  if (type.kind === 'b' && type.parts.length === 0) return !(type.builtIn && objectTypes.test(type.name));
  return type.kind !== 'e' && type.kind !== 'p' && type.parts.every(hasStableHash);
}

function judge(type: TypeRow | undefined, isHashable: (oid: string) => boolean): boolean {
  if (type === undefined) return false;
  if (type.kind === 'b' && type.parts.length === 0) return type.builtIn && plain.has(type.name);
  return ['b', 'd', 'c', 'r', 'm'].includes(type.kind) && type.parts.length > 0 && type.parts.every(isHashable);
}

/**
 * One row a type: what it is made of (elements, base, attributes, subtype). Part "0" (no such type) marks a part with a
 * collation of its own that is not deterministic.
 */
function typesSql(serverVersionNum: number): string {
  const multirange =
    serverVersionNum >= 140000 ? 'UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = t.oid' : '';
  const parts = `
    SELECT e.oid AS part FROM pg_type e WHERE e.typarray = t.oid
    UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
    UNION ALL SELECT CASE WHEN l.collisdeterministic IS FALSE THEN 0 ELSE a.atttypid END
      FROM pg_attribute a
      LEFT JOIN pg_collation l ON l.oid = a.attcollation
      WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT CASE WHEN l.collisdeterministic IS FALSE THEN 0 ELSE r.rngsubtype END
      FROM pg_range r
      LEFT JOIN pg_collation l ON l.oid = r.rngcollation
      WHERE r.rngtypid = t.oid
    ${multirange}`;
  return `
    WITH RECURSIVE used(oid) AS (
      SELECT DISTINCT a.atttypid
      FROM pg_attribute a
      JOIN pg_class c ON c.oid = a.attrelid
      WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
      UNION SELECT p.part FROM used u JOIN pg_type t ON t.oid = u.oid CROSS JOIN LATERAL (${parts}) p
    )
    SELECT t.oid, t.typname AS name, t.typtype AS kind, t.typnamespace = 'pg_catalog'::regnamespace AS built_in,
      (SELECT string_agg(p.part::text, ' ') FROM (${parts}) p) AS parts
    FROM used u JOIN pg_type t ON t.oid = u.oid`;
}
