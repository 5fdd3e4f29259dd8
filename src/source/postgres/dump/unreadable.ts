/**
 * Why a dump failed that came upon a damaged page: the server names a file, we name the table, and what can be had in
 * spite of it. Rows are never read past damage (zero_damaged_pages): what is left out is left out by name.
 */
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { LifeboatError, messageOf } from '../../../lib/errors.ts';
import { type Connection, withConnection } from '../server/connection.ts';
import { quoteQualified } from '../server/quote.ts';
import { namesFor } from './without-rows.ts';

/** Where a file lies, as all of the server's messages on it have it, whatever their language. */
const filePattern = /\b(?:base\/(?<base>\d+)|pg_tblspc\/(?<space>\d+)\/[^/\s"]+\/(?<spaced>\d+)|global)\/(?<node>\d+)/;
/** A table's name for TOAST holds its oid: "missing chunk number 0 for toast value 16400 in pg_toast_16384". */
const toastPattern = /\bpg_toast_(?<oid>\d+)/;

/** Oids that PostgreSQL itself has: pg_default and pg_global. */
const [defaultSpace, globalSpace] = ['1663', '1664'];

/**
 * The error to tell instead: `integrity` (14), with the table and what can be done. The same one where it is not about
 * a damaged file of one of these databases, or the server cannot be asked any more.
 */
export async function explainUnreadable(
  error: unknown,
  url: PostgresUrl,
  databases: readonly string[],
  signal: AbortSignal,
): Promise<unknown> {
  if (!(error instanceof LifeboatError) || error.code !== 'source') return error;
  const said = messageOf(error);
  if (!filePattern.test(said) && !toastPattern.test(said)) return error;
  // A message on a file has the database's oid, and others its name.
  for (const database of databases.filter((name) => filePattern.test(said) || said.includes(`database ${name}`))) {
    const found = await findIn(url, database, said, signal);
    if (found !== undefined) return unreadable(found, database, error);
  }
  return error;
}

interface Unreadable {
  readonly schema: string;
  /** The table's, also where its TOAST or an index is damaged. */
  readonly name: string;
  /** Quoted, with its schema. */
  readonly index?: string | undefined;
}

/** Undefined where it is in another database, or the server cannot be asked any more. */
async function findIn(
  url: PostgresUrl,
  database: string,
  said: string,
  signal: AbortSignal,
): Promise<Unreadable | undefined> {
  try {
    return await withConnection(url, { database, signal }, async (connection) => findRelation(connection, said));
  } catch {
    return undefined;
  }
}

async function findRelation(connection: Connection, said: string): Promise<Unreadable | undefined> {
  const { base, space, spaced, node } = filePattern.exec(said)?.groups ?? {};
  const itsDatabase = base ?? spaced;
  const place = space ?? (base === undefined ? globalSpace : defaultSpace);
  const which =
    node === undefined ? `${toastPattern.exec(said)?.groups?.['oid']}` : `pg_filenode_relation(${place}, ${node})`;
  const [row] = await connection.query(`
    SELECT tn.nspname AS schema, t.relname AS name, n.nspname AS index_schema, i.relname AS index_name
    FROM pg_class c
      JOIN pg_database d ON d.datname = current_database()
      LEFT JOIN pg_index x ON x.indexrelid = c.oid
      JOIN pg_class held ON held.oid = coalesce(x.indrelid, c.oid)
      LEFT JOIN pg_class owner ON owner.reltoastrelid = held.oid AND held.relkind = 't'
      JOIN pg_class t ON t.oid = coalesce(owner.oid, held.oid)
      JOIN pg_namespace tn ON tn.oid = t.relnamespace
      LEFT JOIN pg_class i ON i.oid = x.indexrelid
      LEFT JOIN pg_namespace n ON n.oid = i.relnamespace
    WHERE c.oid = ${which}
      AND ${itsDatabase ?? 'd.oid'} = d.oid`);
  if (row === undefined) return undefined;
  const index = row['index_name'] ?? undefined;
  return {
    schema: row['schema'] ?? '',
    name: row['name'] ?? '',
    index: index === undefined ? undefined : quoteQualified(row['index_schema'] ?? '', index),
  };
}

function unreadable(found: Unreadable, database: string, cause: LifeboatError): LifeboatError {
  const { schema, name, index } = found;
  const table = quoteQualified(schema, name);
  const what = index === undefined ? `table ${table}` : `index ${index} of table ${table}`;
  return new LifeboatError('integrity', `cannot read ${what} of database ${database}: ${cause.message}`, {
    state: 'no backup was recorded',
    hint: hintFor(found, database),
    cause,
  });
}

function hintFor({ schema, name, index }: Unreadable, database: string): string {
  if (schema === 'pg_catalog' || schema === 'pg_toast') {
    return 'a catalog of the database is damaged: lifeboat backup base still takes all as it is; look at the disk';
  }
  if (index !== undefined) return `its rows may be whole: look at the disk, then REINDEX INDEX ${index}`;
  const given = (namesFor({ schema, name }, database)[2] ?? '').replaceAll("'", "'\\''");
  return `all but its rows: lifeboat backup database --without-rows '${given}'; then look at the disk`;
}
