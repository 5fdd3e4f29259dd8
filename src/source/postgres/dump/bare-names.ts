/**
 * Functions that a restore calls (for checks, generated columns, domains, indexes and materialized views) and that name
 * something without its schema: pg_restore has no search_path, so what calls them is lost. Found in the catalog and in
 * their texts alone; nothing of them is run, and so a drill remains the proof. Extensions' own functions are left out:
 * who uses them cannot change them.
 */
import type { Connection } from '../server/connection.ts';
import { namesInList } from '../facts/search-path.ts';
import { quoteIdentifier } from '../server/quote.ts';
import { type NamedInBody, namesInBody } from './function-body.ts';

/** One function, and what it names. */
export interface BareNames {
  /** Schema, name and arguments. */
  readonly function: string;
  /** What a restore makes by calling it, in words. */
  readonly calledBy: string;
  readonly names: readonly string[];
  /** Schemas in which these names are. */
  readonly schemas: readonly string[];
  /** False: a restore by lifeboat finds them, by the database's own search_path. */
  readonly isLost: boolean;
}

/** In words, and what to do about it. */
export function bareNamesProblem({ function: called, calledBy, names, schemas, isLost }: BareNames): {
  readonly message: string;
  readonly hint: string;
} {
  const why = `function ${called}, which it calls, names ${names.join(', ')} without a schema`;
  const path = [...schemas, 'pg_temp'].map(quoteIdentifier).join(', ');
  return {
    message: isLost
      ? `${calledBy} cannot be restored as it is: ${why}, and the database's own search_path does not lead there`
      : `${calledBy} is lost by pg_restore alone (lifeboat tries it again with the database's search_path): ${why}`,
    hint: `ALTER FUNCTION ${called} SET search_path = ${path}; a drill is the proof`,
  };
}

/** How far calls are followed. */
const maxDepth = 5;

export async function findBareNames(connection: Connection): Promise<BareNames[]> {
  const found: BareNames[] = [];
  const seen = new Set<string>();
  let called = await readFunctions(connection, calledSql);
  const ownPath = called.length === 0 ? [] : await readOwnPath(connection);
  for (let depth = 0; depth < maxDepth && called.length > 0; depth++) {
    const fresh = called.filter(({ oid }) => !seen.has(oid));
    for (const { oid } of fresh) seen.add(oid);
    const named = fresh.map((each) => ({ ...each, all: namesInBody(each.body) }));
    const places = await findPlaces(
      connection,
      named.flatMap(({ all }) => all),
    );
    const next = new Map<string, string>();
    for (const each of named) {
      found.push(...judge(each, places, ownPath));
      for (const oid of calledIn(each.all, places)) next.set(oid, each.calledBy);
    }
    called = await readFunctions(connection, followedSql([...next]));
  }
  return found;
}

interface Called {
  readonly oid: string;
  readonly signature: string;
  readonly body: string;
  readonly calledBy: string;
}

/** What can be looked at: SQL and PL/pgSQL as text, without a search_path of its own, of no extension. */
const looked = `
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
  WHERE p.oid >= 16384 AND l.lanname IN ('sql', 'plpgsql') AND coalesce(to_jsonb(p) ->> 'prosqlbody', '') = ''
    AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c ^@ 'search_path=')
    AND NOT EXISTS (
      SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')`;

/** Through operators and views, too. */
const calledSql = `
  WITH RECURSIVE made(classid, objid, what) AS (
    SELECT 'pg_constraint'::regclass, oid, CASE WHEN conrelid = 0 THEN format('domain %s', contypid::regtype)
      ELSE format('table %s', conrelid::regclass) END FROM pg_constraint WHERE contype = 'c' AND oid >= 16384
    UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, format('table %s', d.adrelid::regclass)
      FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attgenerated <> ''
    UNION ALL SELECT 'pg_class'::regclass, i.indexrelid, format('index %s', i.indexrelid::regclass)
      FROM pg_index i WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
    UNION ALL SELECT 'pg_rewrite'::regclass, r.oid, format('materialized view %s', r.ev_class::regclass)
      FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE c.relkind = 'm'
  ), reached(classid, objid, what) AS (
    SELECT classid::oid, objid, what FROM made
    UNION SELECT CASE WHEN w.oid IS NULL THEN d.refclassid ELSE 'pg_rewrite'::regclass::oid END,
        coalesce(w.oid, d.refobjid), r.what
      FROM reached r JOIN pg_depend d ON d.classid = r.classid AND d.objid = r.objid AND d.deptype = 'n'
      LEFT JOIN pg_rewrite w ON d.refclassid = 'pg_class'::regclass AND w.ev_class = d.refobjid
        AND r.classid = 'pg_rewrite'::regclass
      WHERE d.refobjid >= 16384 AND (w.oid IS NOT NULL
        OR d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)) AND r.classid <> 'pg_proc'::regclass
  )
  SELECT p.oid::text AS oid, p.oid::regprocedure::text AS signature, left(p.prosrc, 100000) AS body,
    (SELECT min(r.what) FROM reached r WHERE r.classid = 'pg_proc'::regclass AND r.objid = p.oid) AS "calledBy"
  ${looked} AND p.oid IN (SELECT objid FROM reached WHERE classid = 'pg_proc'::regclass) ORDER BY p.oid`;

function followedSql(called: readonly (readonly [oid: string, calledBy: string])[]): [string, string[]] | string {
  if (called.length === 0) return '';
  const sql = `
    SELECT p.oid::text AS oid, p.oid::regprocedure::text AS signature, left(p.prosrc, 100000) AS body,
      (SELECT min(c ->> 1) FROM jsonb_array_elements($1::jsonb) c WHERE c ->> 0 = p.oid::text) AS "calledBy"
    ${looked} AND p.oid::text IN (SELECT c ->> 0 FROM jsonb_array_elements($1::jsonb) c) ORDER BY p.oid`;
  return [sql, [JSON.stringify(called)]];
}

async function readFunctions(connection: Connection, query: [string, string[]] | string): Promise<Called[]> {
  if (query === '') return [];
  const rows = typeof query === 'string' ? await connection.query(query) : await connection.query(...query);
  return rows.map(({ oid, signature, body, calledBy }) => ({
    oid: oid ?? '',
    signature: signature ?? '',
    body: body ?? '',
    calledBy: calledBy ?? '',
  }));
}

/** Where something of that name is; only names that PostgreSQL itself does not have, which hide others'. */
interface Place {
  readonly kind: NamedInBody['kind'];
  readonly name: string;
  readonly schema: string;
  readonly oid: string;
}

async function findPlaces(connection: Connection, named: readonly NamedInBody[]): Promise<Place[]> {
  const names = JSON.stringify([...new Set(named.map(({ name }) => name))]);
  const rows = await connection.query(
    `WITH wanted AS (SELECT jsonb_array_elements_text($1::jsonb) AS name)
    SELECT 'function' AS kind, p.proname::text AS name, n.nspname::text AS schema, p.oid::text AS oid
      FROM pg_proc p JOIN wanted w ON w.name = p.proname JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE p.oid >= 16384
        AND NOT EXISTS (
          SELECT FROM pg_proc o WHERE o.proname = p.proname AND o.pronamespace = 'pg_catalog'::regnamespace)
    UNION ALL SELECT 'relation', c.relname, n.nspname, c.oid::text
      FROM pg_class c JOIN wanted w ON w.name = c.relname JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
    UNION ALL SELECT 'type', t.typname, n.nspname, t.oid::text
      FROM pg_type t JOIN wanted w ON w.name = t.typname JOIN pg_namespace n ON n.oid = t.typnamespace
      WHERE t.oid >= 16384`,
    [names],
  );
  return rows.map(({ kind, name, schema, oid }) => ({
    kind: kind as Place['kind'],
    name: name ?? '',
    schema: schema ?? '',
    oid: oid ?? '',
  }));
}

function judge(
  { signature, calledBy, all }: Called & { readonly all: readonly NamedInBody[] },
  places: readonly Place[],
  ownPath: readonly string[],
): BareNames[] {
  const bare = all.flatMap(({ kind, schema, name }) => {
    const at = schema === undefined ? places.filter((each) => each.kind === kind && each.name === name) : [];
    return at.length === 0 ? [] : { name, schemas: at.map((each) => each.schema) };
  });
  if (bare.length === 0) return [];
  return [
    {
      function: signature,
      calledBy,
      names: bare.map(({ name }) => name),
      schemas: [...new Set(bare.flatMap(({ schemas }) => schemas))],
      isLost: bare.some(({ schemas }) => !schemas.some((schema) => ownPath.includes(schema))),
    },
  ];
}

function calledIn(all: readonly NamedInBody[], places: readonly Place[]): string[] {
  return all.flatMap(({ kind, schema, name }) =>
    places
      .filter((each) => each.kind === kind && kind === 'function' && each.name === name)
      .filter((each) => schema === undefined || each.schema === schema)
      .map(({ oid }) => oid),
  );
}

async function readOwnPath(connection: Connection): Promise<string[]> {
  const [row] = await connection.query(`
    SELECT substr(c, length('search_path=') + 1) AS path
    FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c
    WHERE d.datname = current_database() AND s.setrole = 0 AND c ^@ 'search_path='`);
  return namesInList(row?.['path'] ?? '"$user", public');
}
