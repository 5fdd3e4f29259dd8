/**
 * The parts of a logical backup as plain files: made by pg_dump alone, so that the restore side is tested
 * against what any PostgreSQL user could make. One exported moment is not needed: nobody writes meanwhile.
 */
import { createReadStream, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runTool } from '../../../src/lib/exec.ts';
import { parsePostgresUrl } from '../../../src/config/postgres-url-parser.ts';
import { withConnection } from '../../../src/source/postgres/server/connection.ts';
import { readLargeObjects } from '../../../src/source/postgres/facts/database-facts.ts';
import type { DatabaseFacts, PostgresFacts } from '../../../src/source/postgres/facts/facts.ts';
import { fingerprintTables } from '../../../src/source/postgres/facts/fingerprint.ts';
import { quoteQualified } from '../../../src/source/postgres/server/quote.ts';
import type { ArtifactReader } from '../../../src/source/source.ts';
import type { TestPostgres } from '../servers/postgres.ts';

export interface Parts extends Disposable {
  readonly facts: PostgresFacts;
  readonly reader: ArtifactReader;
  readonly folder: string;
}

/** Dumps `database`, with the rows of the tables in `apart` in archives of their own. */
export async function dumpParts(
  server: TestPostgres,
  database: string,
  apart: readonly { schema: string; name: string }[] = [],
): Promise<Parts> {
  const folder = mkdtempSync(join(tmpdir(), 'lbparts-'));
  const facts = await readFacts(server, database, apart);
  const dump = async (name: string, args: readonly string[]): Promise<void> => {
    const env = { ...server.env, PGCLIENTENCODING: facts.encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8' };
    await runTool({
      file: join(server.binDir, 'pg_dump'),
      args: ['-Fc', '-Z0', ...args, '-f', join(folder, name), '-d', database],
      env,
    });
  };
  await dump('schema.dump', ['--section=pre-data', '--section=post-data']);
  await dump('data.dump', [
    '--section=data',
    ...apart.map(({ schema, name }) => `--exclude-table-data=${quoteQualified(schema, name)}`),
  ]);
  for (const { artifact, schema, name } of facts.artifacts.tables) {
    await dump(artifact, ['--section=data', `--table=${quoteQualified(schema, name)}`]);
  }
  return {
    folder,
    facts: { serverVersion: '15', serverVersionNum: 150000, toolVersion: '15', databases: [facts] },
    reader: fileReader(folder),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Files of a folder as artifacts. */
export function fileReader(folder: string): ArtifactReader {
  return {
    artifacts: readdirSync(folder).map((name) => ({
      name,
      mediaType: 'application/octet-stream',
      bytes: statSync(join(folder, name)).size,
    })),
    open: (name) => createReadStream(join(folder, name), { highWaterMark: 1 << 20 }),
  };
}

/** The same, but reading `name` throws `error` after `bytes` bytes. */
export function breakingReader(reader: ArtifactReader, name: string, bytes: number, error: Error): ArtifactReader {
  return {
    artifacts: reader.artifacts,
    open: (artifact, range) =>
      artifact === name ? cut(reader.open(artifact, range), bytes, error) : reader.open(artifact, range),
  };
}

async function* cut(chunks: AsyncIterable<Uint8Array>, bytes: number, error: Error): AsyncIterable<Uint8Array> {
  let left = bytes;
  for await (const chunk of chunks) {
    if (chunk.byteLength >= left) {
      yield chunk.subarray(0, left);
      throw error;
    }
    left -= chunk.byteLength;
    yield chunk;
  }
}

async function readFacts(
  server: TestPostgres,
  database: string,
  apart: readonly { schema: string; name: string }[],
): Promise<DatabaseFacts> {
  const one = async (sql: string): Promise<Record<string, string>> =>
    ((await server.query(database, sql))[0] ?? {}) as Record<string, string>;
  const base = await one(
    'SELECT pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, ' +
      'datctype AS ctype, datlocprovider AS provider, daticulocale AS locale, datconnlimit AS limit, ' +
      "shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = current_database()",
  );
  const settings = await server.query(
    database,
    'SELECT CASE WHEN setrole <> 0 THEN pg_get_userbyid(setrole) END AS role, unnest(setconfig) AS setting FROM ' +
      'pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())',
  );
  const largeObjects = await withConnection(parsePostgresUrl(server.url(database)), {}, readLargeObjects);
  return {
    name: database,
    owner: base['owner'] ?? '',
    encoding: base['encoding'] ?? '',
    collate: base['collate'] ?? '',
    ctype: base['ctype'] ?? '',
    localeProvider: base['provider'] === 'i' ? 'i' : 'c',
    ...(base['provider'] === 'i' ? { locale: base['locale'] ?? '' } : {}),
    tablespace: 'pg_default',
    connectionLimit: Number(base['limit']),
    isTemplate: false,
    ...(typeof base['comment'] === 'string' ? { comment: base['comment'] } : {}),
    accessList: [{ privileges: ['CONNECT'], grantable: false }],
    settings: settings.map(({ role, setting }) => {
      const at = (setting ?? '').indexOf('=');
      return {
        ...(typeof role === 'string' ? { role } : {}),
        name: (setting ?? '').slice(0, at),
        value: (setting ?? '').slice(at + 1),
      };
    }),
    extensions: (await server.query(
      database,
      'SELECT extname AS name, extversion AS version, extnamespace::regnamespace::text AS schema FROM pg_extension',
    )) as unknown as DatabaseFacts['extensions'],
    snapshot: { name: 'none', takenAt: new Date().toISOString() },
    artifacts: {
      schema: 'schema.dump',
      data: 'data.dump',
      tables: apart.map(({ schema, name }, i) => ({
        artifact: `data-${String(i).padStart(8, '0')}.dump`,
        schema,
        name,
      })),
    },
    tables: await fingerprintTables(parsePostgresUrl(server.url(database))),
    largeObjects,
    sequences: (
      await server.query(
        database,
        'SELECT schemaname AS schema, sequencename AS name, last_value AS "lastValue" FROM pg_sequences',
      )
    ).map(({ schema, name, lastValue }) => ({
      schema: schema ?? '',
      name: name ?? '',
      ...(typeof lastValue === 'string' ? { lastValue } : {}),
    })),
    publications: [],
    subscriptions: [],
  };
}
