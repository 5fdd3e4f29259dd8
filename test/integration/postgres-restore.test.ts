/** A database with every kind of object comes back equal, whole or in chosen parts, in every encoding. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { LifeboatEvent } from '../../src/lib/events.ts';
import { runTool } from '../../src/lib/exec.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { restorePostgres } from '../../src/source/postgres/restore/new-database.ts';
import type { PostgresRestoreRequest } from '../../src/source/postgres/restore/request.ts';
import { type Parts, dumpParts } from '../helpers/source/postgres-parts.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';
import { createEncodedDatabase, createSampleDatabase } from '../helpers/source/sample-database.ts';

let server: TestPostgres;
let parts: Parts;
const events: LifeboatEvent[] = [];
const context = { signal: new AbortController().signal, emit: (event: LifeboatEvent) => void events.push(event) };

before(async () => {
  server = await startPostgres();
  await createSampleDatabase(server, 'sample', { sizeBytes: 8_000_000 });
  const biggest = (await server.query(
    'sample',
    'SELECT n.nspname AS schema, relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace ' +
      "WHERE relkind = 'r' AND nspname NOT LIKE 'pg%' ORDER BY pg_table_size(c.oid) DESC LIMIT 2",
  )) as { schema: string; name: string }[];
  parts = await dumpParts(server, 'sample', biggest);
  // What PostgreSQL's own tools make of it, one after the other: a restore moves columns of inheritance children.
  await server.query('postgres', 'CREATE DATABASE reference TEMPLATE template0');
  await runTool({
    file: join(server.binDir, 'pg_dump'),
    args: ['-Fc', '-f', join(parts.folder, 'whole.dump'), '-d', 'sample'],
    env: { ...server.env },
  });
  await runTool({
    file: join(server.binDir, 'pg_restore'),
    args: ['-d', 'reference', join(parts.folder, 'whole.dump')],
    env: { ...server.env },
  });
});

after(async () => {
  parts?.[Symbol.dispose]();
  await server?.stop();
});

function request(targetDatabase: string, more: Partial<PostgresRestoreRequest> = {}): PostgresRestoreRequest {
  return {
    reader: parts.reader,
    facts: parts.facts,
    database: 'sample',
    targetUrl: parsePostgresUrl(server.url()),
    targetDatabase,
    jobs: 4,
    ...more,
  };
}

/** The text of a plain dump, without what names the run. */
async function dumpText(database: string, ...args: string[]): Promise<string> {
  const { stdout } = await runTool({
    file: join(server.binDir, 'pg_dump'),
    args: [...args, '-d', database],
    env: { ...server.env },
  });
  return stdout
    .split('\n')
    .filter((line) => !/^\\(un)?restrict |^-- (Started|Completed) on/.test(line))
    .join('\n');
}

/** Equal line by line; shows the first lines that differ, not megabytes. */
function assertSameText(actual: string, expected: string): void {
  if (actual === expected) return;
  const [a, b] = [actual.split('\n'), expected.split('\n')];
  const at = b.findIndex((line, i) => line !== a[i]);
  assert.fail(
    `line ${at}: ${JSON.stringify(a.slice(at, at + 8))} instead of ${JSON.stringify(b.slice(at, at + 8))} ` +
      `(${a.length} and ${b.length} lines)`,
  );
}

async function databases(): Promise<string[]> {
  return (await server.query('postgres', 'SELECT datname AS name FROM pg_database ORDER BY 1')).map(
    ({ name }) => name ?? '',
  );
}

describe('a whole database', () => {
  for (const jobs of [1, 4]) {
    test(`is equal with ${jobs} jobs`, async () => {
      const name = `equal ${jobs}"=`;
      const report = await restorePostgres(request(name, { jobs }), context);
      assert.equal(report.database, name);
      assert.deepEqual(report.verified?.mismatches, []);
      assert.ok((report.verified?.fingerprinted ?? 0) > 20);
      const pair = await Promise.all([dumpText('reference'), dumpText(`dbname='${name}'`)]);
      assertSameText(pair[1], pair[0]);
      const facts = await server.query(
        'postgres',
        "SELECT pg_get_userbyid(datdba) AS owner, shobj_description(oid, 'pg_database') AS comment, (SELECT " +
          'setconfig::text FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0) AS settings FROM ' +
          `pg_database d WHERE datname IN ('sample', $$${name}$$)`,
      );
      assert.deepEqual(facts[0], facts[1]);
      assert.match(facts[0]?.['comment'] ?? '', /sample/);
    });
  }

  test('an existing target is refused and untouched', async () => {
    const before = await databases();
    await assert.rejects(restorePostgres(request('sample'), context), {
      code: 'confirmation',
      state: 'nothing was changed',
    });
    assert.deepEqual(await databases(), before);
  });

  test('a name over 63 bytes is refused', async () => {
    await assert.rejects(restorePostgres(request('ä'.repeat(32)), context), { code: 'usage' });
  });

  test('an unknown locale is an error, but in a drill', async () => {
    const facts = structuredClone(parts.facts) as { databases: { collate: string; ctype: string }[] };
    Object.assign(facts.databases[0] as object, { collate: 'xx_XX.UTF-8', ctype: 'xx_XX.UTF-8' });
    const other = { facts: facts as PostgresRestoreRequest['facts'] };
    await assert.rejects(restorePostgres(request('locale', other), context), { code: 'tool' });
    events.length = 0;
    await restorePostgres(request('locale', { ...other, drill: true }), context);
    assert.ok(events.some((event) => event.type === 'warning' && /xx_XX/.test(event.message)));
    await server.query('postgres', 'DROP DATABASE locale');
  });

  test('only definitions', async () => {
    await restorePostgres(request('bare', { selection: { schemaOnly: true } }), context);
    assertSameText(await dumpText('bare', '--schema-only'), await dumpText('reference', '--schema-only'));
    await server.query('postgres', 'DROP DATABASE bare');
  });
});

for (const encoding of ['LATIN1', 'EUC_JP', 'SQL_ASCII'] as const) {
  test(`a database in ${encoding} is equal`, async () => {
    const name = `enc_${encoding.toLowerCase()}`;
    await createEncodedDatabase(server, name, encoding);
    using own = await dumpParts(server, name, []);
    await restorePostgres(request(`${name}_back`, { reader: own.reader, facts: own.facts, database: name }), context);
    assertSameText(await dumpText(`${name}_back`), await dumpText(name));
  });
}
