/**
 * The owner of a table changes its definitions between our look at the catalog and the planning of our query, and at
 * every other moment of a count: none of their functions runs, and each table is counted and compared all the same.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import type { TableFacts } from '../../src/source/postgres/facts/facts.ts';
import { fingerprintRelations, fingerprintTables } from '../../src/source/postgres/facts/fingerprint.ts';
import { pinSettings } from '../../src/source/postgres/facts/pinned-settings.ts';
import { listRelations } from '../../src/source/postgres/facts/relations.ts';
import { type Connection, withConnection } from '../../src/source/postgres/server/connection.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';
import { type HostileDatabase, createHostileDatabase } from '../helpers/source/hostile-database.ts';

let server: TestPostgres;
let hostile: HostileDatabase;
let folder: string;

/** Each is a table with one row. */
const tables = ['one', 'two', 'three'];

before(async () => {
  server = await startPostgres();
  folder = mkdtempSync(join(tmpdir(), 'race-'));
  chmodSync(folder, 0o755);
  hostile = await createHostileDatabase(server, folder);
  await asOwner(`
    CREATE TYPE evil.mood AS ENUM ('sad', 'glad');
    CREATE FUNCTION evil.mood_text(m evil.mood) RETURNS pg_catalog.text LANGUAGE plpgsql IMMUTABLE AS $$
      BEGIN PERFORM evil.trap(); RETURN 'mood'; END $$;
    CREATE SCHEMA s; CREATE SCHEMA t;`);
});

after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.stop();
});

async function asOwner(sql: string): Promise<string> {
  return server.psql('app', `SET SESSION AUTHORIZATION mallory; SET search_path = s, pg_catalog;\n${sql}`);
}

async function makeTables(): Promise<void> {
  await asOwner(`
    DROP SCHEMA IF EXISTS s, t CASCADE; CREATE SCHEMA s; CREATE SCHEMA t;
    ${tables
      .flatMap((name) => [`s.${name}`, `t.${name}`])
      .map((name) => `CREATE TABLE ${name} (n integer, m evil.mood); INSERT INTO ${name} VALUES (1, 'sad'), (2, NULL);`)
      .join('')}
    ${tables.map((name) => `CREATE INDEX ON t.${name} (evil.trapped('x'));`).join('')}`);
}

/** What the owner does; a refusal is theirs to swallow. Returns the server's words. */
type Attack = () => Promise<string>;

function attack(sql: string): Attack {
  return () => asOwner(`SET lock_timeout = '100ms'; ${sql}`).catch((error: unknown) => String(error));
}

interface Moments {
  /** After the look at the catalog. */
  readonly looked?: Attack;
  /** The moment before the session that counts is asked to plan. */
  readonly planning?: Attack;
  /** The moment before it reads rows. */
  readonly reading?: Attack;
}

/** Counts the tables in schema s as a backup does, while the owner acts. */
async function countWhile(
  moments: Moments,
  url = parsePostgresUrl(server.url('app')),
): Promise<{ found: TableFacts[]; words: string[] }> {
  const words: string[] = [];
  const act = async (moment: keyof Moments): Promise<void> => void words.push((await moments[moment]?.()) ?? '');
  return withConnection(url, {}, async (connection) => {
    await pinSettings(connection);
    await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await connection.query(`LOCK TABLE ${tables.map((name) => `s.${name}`).join(', ')} IN ACCESS SHARE MODE`);
    const relations = (await listRelations(connection)).filter(inS);
    await act('looked');
    return withConnection(url, {}, async (counting) => {
      await pinSettings(counting);
      await counting.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const found = await fingerprintRelations([watched(counting, act)], relations, { url });
      return { found, words };
    });
  });
}

function watched(connection: Connection, act: (moment: keyof Moments) => Promise<void>): Connection {
  return new Proxy(connection, {
    get: (target, name) => {
      if (name !== 'query') return Reflect.get(target, name, target) as unknown;
      return async (sql: string, values?: readonly string[]) => {
        const moment = sql.startsWith('FETCH') ? 'reading' : sql.includes('count(*)') ? 'planning' : undefined;
        if (moment !== undefined) await act(moment);
        return target.query(sql, values);
      };
    },
  });
}

const inS = ({ schema }: { readonly schema: string }): boolean => schema === 's';
const ways = (found: readonly TableFacts[]): string[] =>
  found.map(({ name, rows, method }) => `${name} ${rows} ${method}`);
const each = (sql: (name: string) => string): string => tables.map(sql).join(';');

/** What the owner may do to a table that others only read. */
const changes: Readonly<Record<string, string>> = {
  'an index expression': each((name) => `CREATE INDEX ON ${name} (evil.trapped('x'))`),
  'an index predicate': each((name) => `CREATE INDEX ON ${name} (n) WHERE evil.trapped('x')`),
  statistics: each((name) => `CREATE STATISTICS ${name}_s ON (evil.trapped('x')), (n + 1) FROM ${name}`),
};

for (const [what, sql] of Object.entries(changes)) {
  test(`${what} that is made after the look is seen before anything is planned`, async () => {
    await makeTables();
    const { found } = await countWhile({ looked: attack(sql) });
    assert.deepEqual(await hostile.spoils(), []);
    assert.deepEqual(ways(found), ['one 2 copy', 'three 2 copy', 'two 2 copy']);
  });

  test(`${what} cannot be made while we look anew and plan, and no later one is planned`, async () => {
    await makeTables();
    const { found, words } = await countWhile({ planning: attack(sql), reading: attack(sql) });
    assert.deepEqual(await hostile.spoils(), []);
    assert.match(words.join('\n'), /lock timeout/);
    assert.deepEqual(ways(found), ['one 2 record', 'three 2 record', 'two 2 record']);
    assert.ok((await definitions()) >= tables.length, 'the locks were let go before the rows were read');
  });
}

/** Indexes and statistics in schema s. */
async function definitions(): Promise<number> {
  const sql =
    "SELECT (SELECT count(*) FROM pg_indexes WHERE schemaname = 's') + (SELECT count(*) FROM pg_statistic_ext) AS n";
  return withConnection(parsePostgresUrl(server.url('app')), {}, async (connection) =>
    Number((await connection.query(sql))[0]?.['n']),
  );
}

const swap = 'ALTER SCHEMA s RENAME TO u; ALTER SCHEMA t RENAME TO s; ALTER SCHEMA u RENAME TO t';

test('schemas that exchange their names lead no query to another table', async () => {
  await makeTables();
  const early = await countWhile({ looked: attack(swap) });
  assert.deepEqual(await hostile.spoils(), []);
  assert.deepEqual(ways(early.found), ['one 2 copy', 'three 2 copy', 'two 2 copy']);
  await makeTables();
  const late = await countWhile({ planning: attack(swap), reading: attack(swap) });
  assert.deepEqual(await hostile.spoils(), []);
  assert.match(late.words[1] ?? '', /lock timeout/);
  assert.deepEqual(ways(late.found), ['one 2 record', 'three 2 record', 'two 2 record']);
});

test('a cast to text that is made after the look is not called, and the fingerprint stays what it was', async () => {
  await makeTables();
  const before = await countWhile({});
  const cast = 'CREATE CAST (evil.mood AS pg_catalog.text) WITH FUNCTION evil.mood_text(evil.mood)';
  const { found, words } = await countWhile({ planning: attack(cast) });
  await asOwner('DROP CAST (evil.mood AS pg_catalog.text)');
  assert.deepEqual(await hostile.spoils(), []);
  assert.equal(words.join(''), '');
  assert.deepEqual(
    found.map(({ fingerprint }) => fingerprint),
    before.found.map(({ fingerprint }) => fingerprint),
  );
});

test('a table that another session holds is copied, and waits for nobody', async () => {
  await makeTables();
  await withConnection(parsePostgresUrl(server.url('app')), {}, async (holder) => {
    await holder.query('BEGIN; LOCK TABLE s.two IN SHARE UPDATE EXCLUSIVE MODE');
    assert.deepEqual(ways((await countWhile({})).found), ['one 2 record', 'three 2 record', 'two 2 copy']);
    await holder.query('ROLLBACK; BEGIN; LOCK TABLE pg_catalog.pg_namespace IN ROW EXCLUSIVE MODE');
    assert.deepEqual(ways((await countWhile({})).found), ['one 2 copy', 'three 2 copy', 'two 2 copy']);
  });
});

test('a user who may only read copies what is in other hands, and queries what is their own', async () => {
  await makeTables();
  await server.psql(
    'app',
    `CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader; CREATE SCHEMA own AUTHORIZATION reader;
     CREATE TABLE own.mine (n integer); ALTER TABLE own.mine OWNER TO reader`,
  );
  const url = parsePostgresUrl(server.url('app', 'reader'));
  const found = await fingerprintTables(url, { only: ({ schema }) => ['s', 'own'].includes(schema) });
  assert.deepEqual(ways(found), ['mine 0 record', 'one 2 copy', 'three 2 copy', 'two 2 copy']);
  const late = await countWhile({ looked: attack(changes['statistics'] ?? ''), reading: attack('SELECT 1') }, url);
  assert.deepEqual(ways(late.found), ['one 2 copy', 'three 2 copy', 'two 2 copy']);
});

test('an extension that is trusted by name lends trust to its functions in C, and to no others', async () => {
  await makeTables();
  await server.psql(
    'app',
    `SET search_path = pg_catalog; CREATE EXTENSION xml2 SCHEMA s;
     CREATE FUNCTION s.member(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
     ALTER EXTENSION xml2 ADD FUNCTION s.member(text);
     CREATE INDEX ON s.one (s.xpath_string('<a/>', '/a')); CREATE INDEX ON s.two (s.member('x'))`,
  );
  const methods = async (trustedExtensions: readonly string[]): Promise<string[]> =>
    ways(await fingerprintTables(parsePostgresUrl(server.url('app')), { only: inS, trustedExtensions }));
  assert.deepEqual(await methods([]), ['one 2 copy', 'three 2 record', 'two 2 copy']);
  assert.deepEqual(await methods(['xml2']), ['one 2 record', 'three 2 record', 'two 2 copy']);
  assert.deepEqual(await methods(["xml2'", 'evil']), ['one 2 copy', 'three 2 record', 'two 2 copy']);
  await server.psql('app', 'DROP EXTENSION xml2 CASCADE');
});

test('owners of a partitioned table and of a schema count as owners of what is in it', async () => {
  await asOwner('CREATE TABLE s.parts (n integer) PARTITION BY LIST (n)');
  await server.psql(
    'app',
    `CREATE TABLE public.part (n integer); ALTER TABLE s.parts ATTACH PARTITION public.part DEFAULT;
     CREATE TABLE s.ours (n integer); ALTER SCHEMA public OWNER TO postgres; CREATE TABLE public.ours (n integer)`,
  );
  const hands = await withConnection(parsePostgresUrl(server.url('app')), {}, async (connection) =>
    (await listRelations(connection))
      .filter(({ name }) => ['part', 'ours'].includes(name))
      .map(({ schema, name, isInOthersHands }) => `${schema}.${name} ${isInOthersHands}`),
  );
  assert.deepEqual(hands.toSorted(), ['public.ours false', 'public.part true', 's.ours true']);
});
