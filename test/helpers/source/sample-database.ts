/**
 * Databases for tests with every kind of object that a dump must carry. `createSampleDatabase` fills one
 * to about the wanted size, most of it in one big table of realistic text; `createEncodedDatabase` makes
 * small ones in other encodings with names and data that are not ASCII.
 */
import type { TestPostgres } from '../servers/postgres.ts';

/** Names that have broken dump tools: each is a table's name in schema `odd`. None is over 63 bytes. */
export const oddNames: readonly string[] = [
  'We ird"."',
  '"',
  '""',
  "it's",
  'a.b',
  '.',
  'a"."b',
  '*',
  '?',
  'a*',
  'a?b',
  '[a-z]+',
  '(x|y)',
  '$',
  '$1',
  'a$b',
  '^a',
  '\\',
  'a\\b',
  '\\d',
  '{2}',
  'A',
  'a',
  'Aa',
  'select',
  'öäü',
  'ÄÖ',
  '日本語',
  'tab\there',
  'new\nline',
  ' lead',
  'trail ',
  '--',
  '/* x */',
  '%s',
  '%',
  '@',
  '#',
  '!',
  '~',
  '&',
  ';',
  ':x',
  'é',
  'x'.repeat(63),
  '-t',
  '--help',
  'public',
  'pg_x',
  '🦜',
  '|',
  'a|b',
  '+',
  'a+',
  ',',
  '=',
  '<>',
  '`',
];

export interface SampleOptions {
  /** About this many bytes of tables in all; default 5 MB. */
  readonly sizeBytes?: number;
}

/** Creates the database with all its objects; its roles (sample_owner, sample_reader) are made if they are missing. */
export async function createSampleDatabase(
  server: TestPostgres,
  name: string,
  options: SampleOptions = {},
): Promise<void> {
  // Measured: a row of events takes about 235 bytes.
  const events = Math.max(1000, Math.round(((options.sizeBytes ?? 5_000_000) * 0.9) / 235));
  await server.psql('postgres', `${rolesSql}\nCREATE DATABASE ${quote(name)} TEMPLATE template0;`);
  await server.psql(name, schemaSql);
  await server.psql(
    name,
    oddNames
      .map(
        (each, i) =>
          `CREATE TABLE odd.${quote(each)} (${quote(each)} int, v text); INSERT INTO odd.${quote(each)} SELECT g, ` +
          `'row ' || g FROM generate_series(1, ${i % 5}) g;`,
      )
      .join('\n'),
  );
  await server.psql(name, fillSql(events));
  await server.psql(
    name,
    `ALTER DATABASE ${quote(name)} SET work_mem = '8MB'; COMMENT ON DATABASE ${quote(name)} IS 'it''s a ` +
      `"sample"'; GRANT CONNECT ON DATABASE ${quote(name)} TO sample_reader;`,
  );
}

/** A small database in LATIN1, EUC_JP or SQL_ASCII (there with UTF-8 bytes) whose names and data are not ASCII. */
export async function createEncodedDatabase(
  server: TestPostgres,
  name: string,
  encoding: 'LATIN1' | 'EUC_JP' | 'SQL_ASCII',
): Promise<void> {
  const words =
    encoding === 'EUC_JP'
      ? ['日本', '顧客', '注文', 'かな', 'カナ', '東京']
      : ['Größe', 'Müller', 'été', 'ñandú', 'Ærø', 'Ç"x'];
  await server.psql(
    'postgres',
    `CREATE DATABASE ${quote(name)} TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C';`,
  );
  const tables = words.map(
    (word, i) =>
      `CREATE SCHEMA IF NOT EXISTS ${quote(words[0] ?? '')}; CREATE TABLE ${quote(words[0] ?? '')}.${quote(word)} ` +
      `(id int PRIMARY KEY, ${quote(word)} text); INSERT INTO ${quote(words[0] ?? '')}.${quote(word)} SELECT g, ` +
      `'${word} ' || g FROM generate_series(1, ${100 * (i + 1)}) g;`,
  );
  await server.psql(
    name,
    `CREATE TYPE ${quote(`t${words[1]}`)} AS ENUM ('${words[2]}', '${words[3]}');\n${tables.join('\n')}\nCOMMENT ` +
      `ON SCHEMA ${quote(words[0] ?? '')} IS '${words[4]}';`,
  );
}

/**
 * A program that changes the sample until stopped: inserts, updates, deletes, new large objects. Resolves when the
 * first change is in.
 */
export async function startWriter(server: TestPostgres, database: string): Promise<{ stop(): Promise<number> }> {
  let running = true;
  let changes = 0;
  const write = async (): Promise<void> => {
    await server.query(database, writeSql);
    changes++;
  };
  await write();
  const ended = (async () => {
    while (running) await write();
  })();
  ended.catch(() => {});
  return {
    stop: async () => {
      running = false;
      await ended;
      return changes;
    },
  };
}

const writeSql = `
  INSERT INTO app.events (customer_id, kind, body, amount)
    SELECT 1 + g % 100, 'order', 'written while dumping ' || g, g FROM generate_series(1, 50) g;
  UPDATE app.events SET body = body || '!' WHERE id % 97 = (random() * 96)::int AND id < 2000;
  DELETE FROM app.events WHERE id IN (SELECT id FROM app.events ORDER BY id DESC LIMIT 20);
  INSERT INTO app.measure (at, sensor, value) VALUES ('2025-03-03', 1, random());
  SELECT lo_from_bytea(0, 'written while dumping');
  UPDATE app.customers SET name = name || '.' WHERE id = 1 + (random() * 90)::int`;

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

const rolesSql = `
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sample_owner') THEN CREATE ROLE sample_owner; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sample_reader')
    THEN CREATE ROLE sample_reader LOGIN PASSWORD 'read"er'; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'Od"d role')
    THEN CREATE ROLE "Od""d role" IN ROLE sample_reader; END IF;
END $$;
ALTER ROLE sample_reader SET statement_timeout = '1min';`;

const schemaSql = String.raw`
SET client_min_messages = warning;
CREATE SCHEMA app; CREATE SCHEMA odd; CREATE SCHEMA ext; CREATE SCHEMA empty_schema;
COMMENT ON SCHEMA app IS 'the application';
CREATE EXTENSION pg_trgm SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;
CREATE EXTENSION btree_gist SCHEMA ext; CREATE EXTENSION postgres_fdw SCHEMA ext; CREATE EXTENSION pgcrypto;

CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'ha''ppy', 'We ird"');
ALTER TYPE app.mood ADD VALUE 'late' AFTER 'sad';
CREATE TYPE app.address AS (street text, city varchar(80), zip int, mood app.mood);
CREATE TYPE app.point3 AS (x float8, y float8, z numeric);
CREATE TYPE app.span AS RANGE (subtype = float8);
CREATE DOMAIN app.email AS ext.citext CHECK (value ~ '@');
CREATE DOMAIN app.positive AS int CHECK (value > 0) DEFAULT 1;
CREATE DOMAIN app.moods AS app.mood[];
CREATE COLLATION app.anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE SEQUENCE app.odd_sequence INCREMENT BY -3 MAXVALUE 100 START 50 CYCLE;
CREATE SEQUENCE app.never_called;

CREATE TABLE app.customers (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, mail app.email UNIQUE,
    mood app.mood DEFAULT 'ok', address app.address, tags text[], moods app.mood[],
  attributes ext.hstore, settings jsonb, raw json, doc xml, place point, area box, span int4range, spans app.span,
    many int4multirange, secret bytea, born date, seen timestamptz, lasts interval, address_ip inet,
  flags bit(8), bits varbit, cash money, vector tsvector, query tsquery, reg regclass, role_ regrole,
    proc regprocedure, u uuid DEFAULT gen_random_uuid(), best_event bigint, rate real, dbl double precision,
  fuzzy text COLLATE app.anycase, deep app.address[], p3 app.point3, dm app.moods, pos app.positive, ch "char",
    nm name, o oid, lsn pg_lsn, tm time, ttz timetz, mac macaddr, t3 text[][],
  upper_name text GENERATED ALWAYS AS (upper(name)) STORED, dropped int, "Mixed Case" numeric(20, 6));
ALTER TABLE app.customers DROP COLUMN dropped;
ALTER TABLE app.customers ADD COLUMN added_later text DEFAULT 'fast default';
COMMENT ON COLUMN app.customers."Mixed Case" IS 'with "quotes" and ''these''';
CREATE TABLE app.events (
  id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, customer_id int REFERENCES app.customers
    DEFERRABLE INITIALLY DEFERRED, kind text, body text, amount numeric(12, 2), at timestamptz DEFAULT '2025-01-01',
    extra jsonb);
ALTER TABLE app.customers ADD FOREIGN KEY (best_event) REFERENCES app.events DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX events_customer ON app.events (customer_id) WHERE kind = 'order';
CREATE INDEX customers_trgm ON app.customers USING gin (name ext.gin_trgm_ops);
CREATE TABLE app.chicken (id int PRIMARY KEY, egg int);
CREATE TABLE app.egg (id int PRIMARY KEY, chicken int REFERENCES app.chicken);
ALTER TABLE app.chicken ADD FOREIGN KEY (egg) REFERENCES app.egg;
CREATE TABLE app.self (id int PRIMARY KEY, parent int REFERENCES app.self, EXCLUDE USING gist (id WITH =));

CREATE TABLE app.measure (at date NOT NULL, sensor int NOT NULL, value float8, PRIMARY KEY (at, sensor, value))
  PARTITION BY RANGE (at);
CREATE TABLE app.measure_2024 PARTITION OF app.measure FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
  PARTITION BY LIST (sensor);
CREATE TABLE app.measure_2024_1 PARTITION OF app.measure_2024 FOR VALUES IN (1, 2) PARTITION BY HASH (value);
CREATE TABLE app.measure_2024_1a PARTITION OF app.measure_2024_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.measure_2024_1b PARTITION OF app.measure_2024_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE app.measure_2024_rest PARTITION OF app.measure_2024 DEFAULT;
CREATE TABLE app.measure_2025 (value float8 NOT NULL, gone int, sensor int NOT NULL, at date NOT NULL);
ALTER TABLE app.measure_2025 DROP COLUMN gone;
ALTER TABLE app.measure ATTACH PARTITION app.measure_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.places (id int, sub int, name text, PRIMARY KEY (id, sub)) PARTITION BY RANGE (id);
CREATE TABLE app.places_low PARTITION OF app.places FOR VALUES FROM (0) TO (1000) PARTITION BY RANGE (sub);
CREATE TABLE app.places_low_a PARTITION OF app.places_low FOR VALUES FROM (0) TO (50);
CREATE TABLE app.places_low_b PARTITION OF app.places_low DEFAULT;
CREATE TABLE app.places_high PARTITION OF app.places DEFAULT;
CREATE TABLE app.visits (id serial PRIMARY KEY, place int, sub int, FOREIGN KEY (place, sub)
  REFERENCES app.places ON DELETE CASCADE);

CREATE TABLE app.animal (id int, name text, extra text);
CREATE TABLE app.bird (wings int) INHERITS (app.animal);
CREATE TABLE app.stray (wild bool, id int, note text, name text, extra text);
ALTER TABLE app.stray INHERIT app.animal;
CREATE TABLE app.nothing (); CREATE TABLE app.no_rows (id int, a text);
CREATE UNLOGGED TABLE app.cache (k text PRIMARY KEY, v text);
CREATE TABLE app.wide (id int PRIMARY KEY, payload bytea, big text);
ALTER TABLE app.wide ALTER COLUMN payload SET STORAGE EXTERNAL;
CREATE TABLE app.typed OF app.point3 (PRIMARY KEY (x));

CREATE VIEW app.v_customers WITH (security_barrier) AS SELECT id, name, mood FROM app.customers WHERE mood <> 'sad';
CREATE MATERIALIZED VIEW app.totals AS SELECT kind, count(*) AS n, sum(amount) AS total FROM app.events
  GROUP BY kind WITH NO DATA;
CREATE MATERIALIZED VIEW app.filled AS SELECT id, upper(name) AS name FROM app.customers;
CREATE UNIQUE INDEX ON app.filled (id);
CREATE RULE no_delete AS ON DELETE TO app.no_rows DO INSTEAD NOTHING;
CREATE FUNCTION app.add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name; RETURN NEW; END $$;
CREATE PROCEDURE app.nop() LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE AGGREGATE app.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE OPERATOR app.<+> (LEFTARG = int, RIGHTARG = int, FUNCTION = app.add);
CREATE TRIGGER touch BEFORE UPDATE ON app.customers FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.no_rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_mine ON app.no_rows USING (a = current_user);
CREATE STATISTICS app.stats (dependencies, mcv) ON kind, customer_id FROM app.events;
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE EVENT TRIGGER sample_ddl ON ddl_command_end EXECUTE FUNCTION app.on_ddl();
CREATE PUBLICATION sample_pub FOR TABLE app.customers, app.events;
CREATE SERVER sample_remote FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'x');
CREATE USER MAPPING FOR sample_reader SERVER sample_remote OPTIONS (user 'x', password 'y');
CREATE FOREIGN TABLE app.remote (id int, v text) SERVER sample_remote;
CREATE TEXT SEARCH CONFIGURATION app.plain (COPY = simple);
CREATE CAST (app.point3 AS text) WITH INOUT AS ASSIGNMENT;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO sample_reader;
GRANT USAGE ON SCHEMA app TO sample_reader, sample_owner;
GRANT SELECT ON app.events, app.v_customers TO sample_reader WITH GRANT OPTION;
GRANT SELECT (name), UPDATE (mood) ON app.customers TO "Od""d role";
ALTER TABLE app.chicken OWNER TO sample_owner; ALTER SCHEMA empty_schema OWNER TO sample_owner;
SELECT setval('app.odd_sequence', 20), nextval('app.odd_sequence');`;

/** Rows for all of it; `events` of them in the big table. */
function fillSql(events: number): string {
  return String.raw`
SET client_min_messages = warning; SELECT setseed(0.5);
BEGIN;
INSERT INTO app.customers (name, mail, mood, address, tags, moods, attributes, settings, raw, doc, place, area,
  span, spans, many, secret, born, seen, lasts, address_ip, flags, bits, cash, vector, query, reg, role_, proc,
  rate, dbl, fuzzy, deep, p3, dm, pos, ch, nm, o, lsn, tm, ttz, mac, t3, "Mixed Case", best_event)
SELECT 'Customer Näme ' || g, CASE WHEN g % 7 > 0 THEN 'User' || g || '@Example.org' END,
  (ARRAY['sad', 'ok', 'ha''ppy', 'We ird"', 'late'])[1 + g % 5]::app.mood,
  ROW('Street "' || g, 'Cïty', g, 'sad')::app.address, ARRAY['a', NULL, 'b"' || g], ARRAY['ok', 'sad']::app.mood[],
  ext.hstore('k' || g, NULL), jsonb_build_object('n', g, 'list', ARRAY[1, 2, g], 'deep',
    jsonb_build_object('ü', E'\n')), ('{"b": 1,  "a": [' || g || ']}')::json,
    xmlparse(CONTENT '<a x="' || g || '">é</a>'), point(g, 0.1 * g), box(point(0, 0), point(g, 1)),
  int4range(g, g + 5), app.span(g, g + 0.5), int4multirange(int4range(1, 3), int4range(7, 7 + g)),
    sha256(g::text::bytea), '2000-02-29'::date + g, '2024-03-31 01:30+00'::timestamptz + g * interval '1 hour',
    make_interval(days => g, mins => 5), '10.0.0.0/8'::inet + g,
  (g % 256)::bit(8), B'101', g::money, to_tsvector('simple', 'some words ' || g), 'some & words', 'app.events',
    'sample_owner', 'app.add(int, int)', g / 3.0, g / 7.0, CASE g % 2 WHEN 0 THEN 'Case' ELSE 'cASE' END,
  ARRAY[ROW('s', 'c', 1, 'ok')::app.address, NULL], ROW(1, 'NaN', g * 1.10)::app.point3, ARRAY['late']::app.mood[],
    g, chr(65 + g % 26)::"char", 'name' || g, g, '0/16B3748', '12:34:56.789', '12:34:56+02', '08:00:2b:01:02:03',
    ARRAY[ARRAY['a', 'b'], ARRAY['c', NULL]], g * 1.500000, NULL
FROM generate_series(1, ${Math.min(5000, Math.max(100, Math.round(events / 20)))}) g;
INSERT INTO app.events (customer_id, kind, body, amount, at, extra)
SELECT 1 + (g % 9973 * 7919) % 100, (ARRAY['order', 'visit', 'mail', 'call'])[1 + g % 4],
  'Ticket ' || g || ' from ' || (ARRAY['Berlin', 'Paris', 'Lisboa', 'København', 'Athens'])[1 + g % 5] || ': '
    || (ARRAY['the parcel did not arrive in time, please look into it',
    'wants an invoice with another address and a copy of the last one',
    'says thank you for the quick answer'])[1 + g % 3]
    || ', number ' || md5(g::text) || '. Second call on ' || (g % 28 + 1) || ' May, '
      || (ARRAY['answered', 'forwarded to accounts', 'open'])[1 + (g / 7) % 3],
  (g * 31 % 100000) / 100.0, '2025-01-01'::timestamptz + g * interval '17 seconds',
    CASE WHEN g % 10 = 0 THEN jsonb_build_object('ref', g, 'by', 'agent ' || g % 50) END
FROM generate_series(1, ${events}) g;
UPDATE app.customers SET best_event = id;
COMMIT;
BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO app.chicken VALUES (1, NULL), (2, NULL);
INSERT INTO app.egg VALUES (1, 1), (2, 2); UPDATE app.chicken SET egg = id; COMMIT;
INSERT INTO app.self SELECT g, nullif(g / 2, 0) FROM generate_series(1, 100) g;
INSERT INTO app.measure SELECT '2024-01-01'::date + g % 700, g % 5, g / 10.0
  FROM generate_series(1, ${Math.max(2000, Math.round(events / 50))}) g;
INSERT INTO app.places SELECT g, g % 100, 'place ' || g FROM generate_series(1, 2000) g;
INSERT INTO app.visits (place, sub) SELECT 1 + g % 2000, (1 + g % 2000) % 100 FROM generate_series(1, 3000) g;
INSERT INTO app.animal VALUES (1, 'cat', 'x'); INSERT INTO app.bird VALUES (2, 'tit', 'y', 2);
INSERT INTO app.stray VALUES (true, 3, 'n', 'dog', 'z'), (false, 4, 'm', 'fox', NULL);
INSERT INTO app.nothing SELECT FROM generate_series(1, 7);
INSERT INTO app.cache SELECT 'k' || g, 'v' FROM generate_series(1, 50) g;
INSERT INTO app.wide SELECT g, (SELECT string_agg(sha256((g * 1000 + i)::text::bytea), '')
  FROM generate_series(1, 500) i), repeat('long text ' || g || E'\\ \t\n', 3000)
  FROM generate_series(1, ${Math.max(20, Math.round(events / 3000))}) g;
INSERT INTO app.typed VALUES (1, 'Infinity', 3), (2, '-0', 'NaN'), (3, 1e-300, 0.10);
SELECT lo_from_bytea(0, sha256(g::text::bytea)) FROM generate_series(1, 20) g;
SELECT lo_from_bytea(70001, convert_to(repeat('large object ', 50000), 'UTF8')), lo_create(70002), lo_create(70003);
DO $$ DECLARE f int := lo_open(70003, 131072); BEGIN PERFORM lo_lseek64(f, 100000, 0);
PERFORM lowrite(f, 'after a hole'); PERFORM lo_close(f); END $$;
COMMENT ON LARGE OBJECT 70001 IS 'a big one'; GRANT SELECT ON LARGE OBJECT 70001 TO sample_reader;
REFRESH MATERIALIZED VIEW app.filled;
ANALYZE;`;
}
