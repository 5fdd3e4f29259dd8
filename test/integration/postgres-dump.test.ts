/**
 * Logical dumps of PostgreSQL against real servers: what comes out, restored, equals what was there at the snapshot.
 */
import assert from 'node:assert/strict';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runTool } from '../../src/lib/exec.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { type DatabaseFacts, type PostgresFacts, postgresFacts } from '../../src/source/postgres/facts/facts.ts';
import { fingerprintTables } from '../../src/source/postgres/facts/fingerprint.ts';
import { postgresSource } from '../../src/source/postgres/dump/source.ts';
import { withConnection } from '../../src/source/postgres/server/connection.ts';
import { readLargeObjects } from '../../src/source/postgres/facts/database-facts.ts';
import type { TocEntry } from '../../src/source/postgres/archive/format.ts';
import { checkParts, readToc } from '../../src/source/postgres/restore/toc.ts';
import { type CollectOptions, type Collected, collectArtifacts } from '../helpers/source/collect-artifacts.ts';
import { assertSameText, comparableDump } from '../helpers/source/dump-text.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';
import {
  createEncodedDatabase,
  createSampleDatabase,
  oddNames,
  startWriter,
} from '../helpers/source/sample-database.ts';

let server: TestPostgres;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lbdump-'));
  server = await startPostgres();
  await createSampleDatabase(server, 'sample');
});

after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('a database with every kind of object', () => {
  test('restores to the text and the fingerprints of its snapshot while it is written to', async () => {
    const writer = await startWriter(server, 'sample');
    let text: Promise<string> | undefined;
    const { facts, collected } = await dump('sample', {
      jobs: 3,
      onEvent: (event) => {
        if (event.type === 'snapshot') text = plainText(event.database, event.snapshot);
      },
      // The snapshot lives until the last body ends.
      before: async (artifact) => void (artifact.name === 'schema.dump' && (await text)),
    });
    assert.ok((await writer.stop()) > 1);
    const [database] = facts.databases;
    assert.ok(database !== undefined && text !== undefined);
    assert.deepEqual(
      collected.events.map(({ type }) => type),
      ['snapshot', 'snapshot-end'],
    );
    assert.deepEqual(await faultsOf(database, collected.names), []);
    assert.equal(database.artifacts.tables.length, 3);
    await restore('restored', collected.names);
    assertSameText(comparableDump(await plainText('restored')), comparableDump(await text));
    await assertEqualRows(database, 'restored');
  });

  test('records what a dump of a single database leaves out', async () => {
    const { facts } = await dump('sample');
    const [database] = facts.databases;
    assert.equal(database?.comment, 'it\'s a "sample"');
    assert.deepEqual(database?.settings, [{ name: 'work_mem', value: '8MB' }]);
    const grant = { role: 'sample_reader', privileges: ['CONNECT'] as const, grantable: false };
    assert.deepEqual(
      database?.accessList?.find(({ role }) => role === grant.role),
      grant,
    );
    assert.ok(database?.extensions.some(({ name, schema }) => name === 'hstore' && schema === 'ext'));
    assert.deepEqual(database?.publications, ['sample_pub']);
    assert.deepEqual(
      database?.sequences.filter(({ name }) => /odd_|never/.test(name)),
      [
        { schema: 'app', name: 'never_called' },
        { schema: 'app', name: 'odd_sequence', lastValue: '17' },
      ],
    );
    assert.equal(facts.globals?.withPasswords, true);
    assert.ok(facts.globals?.roles.includes('Od"d role'));
  });

  test('gives each table to exactly one archive, whatever its name', async () => {
    const { facts, collected } = await dump('sample', { bigTableBytes: 0, jobs: 3 });
    const [database] = facts.databases;
    assert.ok(database !== undefined);
    const big = new Set(database.artifacts.tables.map(({ name }) => name));
    const filled = oddNames.filter((_, i) => i % 5 > 0);
    assert.ok(filled.length > 30);
    for (const name of filled) assert.ok(big.has(name), `${name} is not apart`);
    assert.deepEqual(await faultsOf(database, collected.names), []);
    // Column lists and rows are byte for byte what plain pg_dump writes.
    const apart = new Set(database.artifacts.tables.map(({ artifact }) => artifact));
    const copies = new Map<string, string>();
    for (const name of collected.names.filter((each) => apart.has(each))) {
      const script = await run('pg_restore', '--file=-', join(folder, name));
      copiesIn(script).forEach((rows, head) => copies.set(head, rows));
    }
    assert.equal(copies.size, apart.size);
    const plain = copiesIn(await run('pg_dump', '--section=data', '--dbname=sample'));
    for (const [head, rows] of copies) assert.ok(rows === plain.get(head), `${head} differs`);
  });

  test('an empty database', async () => {
    await server.psql('postgres', 'CREATE DATABASE "emp ty" TEMPLATE template0');
    const { facts, collected } = await dump('emp ty');
    const [database] = facts.databases;
    assert.deepEqual(
      [database?.tables, database?.sequences, database?.accessList, database?.largeObjects],
      [[], [], undefined, { count: '0', bytes: '0' }],
    );
    assert.deepEqual(collected.names, ['globals.sql', 'data.dump', 'schema.dump']);
    await restore('emp ty too', collected.names);
  });
});

describe('databases in other encodings', () => {
  for (const encoding of ['LATIN1', 'EUC_JP', 'SQL_ASCII'] as const) {
    test(encoding, async () => {
      const name = `enc ${encoding}`;
      await createEncodedDatabase(server, name, encoding);
      const { facts, collected } = await dump(name, { bigTableBytes: 20_000 });
      const [database] = facts.databases;
      assert.ok(database !== undefined);
      assert.equal(database.encoding, encoding);
      assert.ok(database.artifacts.tables.length >= 3);
      assert.deepEqual(await faultsOf(database, collected.names), []);
      await restore(`${name} restored`, collected.names, `ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`);
      assertSameText(await plainText(`${name} restored`), await plainText(name));
      await assertEqualRows(database, `${name} restored`);
    });
  }
});

test('names that are not UTF-8, as SQL_ASCII allows, are dumped and counted', async () => {
  await server.psql(
    'postgres',
    "CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
  );
  // Two names that look alike once they are decoded.
  await server.query(
    'bytes',
    String.raw`SET client_encoding = SQL_ASCII; DO $do$ BEGIN
    FOR i IN 1..2 LOOP EXECUTE format('CREATE TABLE %1$I AS SELECT %2$L::text AS v FROM generate_series(1, %3$s)',
      convert_from(decode('e' || i || '62', 'hex'), 'SQL_ASCII'), convert_from('\xff'::bytea, 'SQL_ASCII'), i * 10);
    END LOOP;
    EXECUTE format('CREATE TABLE plain AS SELECT 1 AS %I', convert_from('\xfe'::bytea, 'SQL_ASCII')); END $do$`,
  );
  const { facts, collected } = await dump('bytes', { bigTableBytes: 0 });
  const [database] = facts.databases;
  assert.ok(database !== undefined);
  assert.deepEqual(
    database.tables.map(({ name, rows, method }) => `${name} ${rows} ${method}`).toSorted((a, b) => (a < b ? -1 : 1)),
    ['plain 1 count', '\ufffdb 10 count', '\ufffdb 20 count'],
  );
  assert.deepEqual(await faultsOf(database, collected.names), []);
  await restore('bytes restored', collected.names, "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'");
  const names = (name: string): Promise<unknown> =>
    server.query(
      name,
      "SELECT encode(relname::text::bytea, 'hex') FROM pg_class WHERE relkind = 'r' AND relnamespace = " +
        "'public'::regnamespace ORDER BY 1",
    );
  assert.deepEqual(await names('bytes restored'), await names('bytes'));
});

test('several databases are numbered, "*" takes all of the server', async () => {
  const source = postgresSource({
    url: parsePostgresUrl(server.url()),
    databases: ['*'],
    jobs: 2,
    bigTableBytes: 1e9,
    lockWaitTimeoutMs: 5000,
  });
  const collected = await collectArtifacts(source, folder, { jobs: 2 });
  const facts = postgresFacts.parse(collected.facts.facts);
  const all = await server.query('postgres', 'SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY oid');
  assert.deepEqual(
    facts.databases.map(({ name }) => name),
    all.map(({ datname }) => datname),
  );
  assert.equal(facts.databases[1]?.artifacts.schema, '0002-schema.dump');
  assert.equal(collected.names.length, 1 + 2 * all.length);
});

/** Text of a program's, byte for byte. */
async function run(program: string, ...args: string[]): Promise<string> {
  const env = { ...server.env, PGCLIENTENCODING: 'UTF8' };
  return (await runTool({ file: join(server.binDir, program), args, env })).stdout;
}

/** COPY statements of a script, each with the rows that follow it. */
function copiesIn(script: string): Map<string, string> {
  const blocks = script.matchAll(/^(COPY [^]*? FROM stdin;)\n([^]*?)^\\\.$/gm);
  return new Map([...blocks].map(([, head = '', rows = '']) => [head, rows]));
}

interface DumpOptions extends CollectOptions {
  readonly bigTableBytes?: number;
}

async function dump(
  database: string,
  options: DumpOptions = {},
): Promise<{ facts: PostgresFacts; collected: Collected }> {
  const source = postgresSource({
    url: parsePostgresUrl(server.url()),
    databases: [database],
    jobs: options.jobs ?? 1,
    bigTableBytes: options.bigTableBytes ?? 250_000,
    lockWaitTimeoutMs: 5000,
  });
  const collected = await collectArtifacts(source, folder, options);
  return { facts: postgresFacts.parse(collected.facts.facts), collected };
}

async function faultsOf(database: DatabaseFacts, names: readonly string[]): Promise<string[]> {
  const tocs = new Map<string, TocEntry[]>();
  for (const name of names.filter((each) => each.endsWith('.dump'))) {
    tocs.set(name, await readToc(createReadStream(join(folder, name))));
  }
  return checkParts(database, tocs);
}

async function restore(to: string, names: readonly string[], create = ''): Promise<void> {
  await server.psql('postgres', `CREATE DATABASE "${to}" TEMPLATE template0 ${create}`);
  const run = async (name: string, section: string): Promise<void> => {
    await runTool({
      file: join(server.binDir, 'pg_restore'),
      args: ['--exit-on-error', `--section=${section}`, `--dbname=${to}`, join(folder, name)],
      env: server.env,
    });
  };
  await run('schema.dump', 'pre-data');
  for (const name of names.filter((each) => /^data.*\.dump$/.test(each))) await run(name, 'data');
  await run('schema.dump', 'post-data');
}

/** pg_dump moves the columns of inheritance children, so app.stray is compared by its fingerprint only. */
async function plainText(database: string, snapshot?: string): Promise<string> {
  const args = [
    '--restrict-key=test',
    '--exclude-table=app.stray',
    ...(snapshot === undefined ? [] : [`--snapshot=${snapshot}`]),
  ];
  return (
    await runTool({
      file: join(server.binDir, 'pg_dump'),
      args,
      env: { ...server.env, PGDATABASE: database, PGCLIENTENCODING: 'UTF8' },
    })
  ).stdout;
}

async function assertEqualRows(database: DatabaseFacts, restored: string): Promise<void> {
  const url = parsePostgresUrl(server.url(restored));
  const rows = (tables: DatabaseFacts['tables']): string[] =>
    tables
      .filter(({ kind }) => kind === 'r')
      .map(({ schema, name, rows: n, method, fingerprint }) => [schema, name, n, method, fingerprint].join(' '));
  assert.deepEqual(rows(await fingerprintTables(url, { jobs: 2 })), rows(database.tables));
  assert.deepEqual(await withConnection(url, {}, readLargeObjects), database.largeObjects);
}
