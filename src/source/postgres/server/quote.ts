/**
 * Names and values as SQL text, and as the patterns that pg_dump and pg_restore take. A pattern in
 * double quotes matches one name exactly, whatever characters the name holds.
 */

/** `We "ird` → `"We ""ird"`; always quoted, so that case and keywords never matter. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * `"schema"."name"`: an SQL name, and also the pattern for --table and --exclude-table-data that matches this relation
 * alone.
 */
export function quoteQualified(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/** A string constant that reads the same whatever standard_conforming_strings is. */
export function quoteLiteral(value: string): string {
  const quoted = `'${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return value.includes('\\') ? ` E${quoted}` : quoted;
}

/**
 * A database name as a connection string, for programs that would take a bare name with "=" in it or "postgres://"
 * before it for one.
 */
export function conninfo(database: string): string {
  return `dbname='${database.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/**
 * Whether a name came to us whole. In an SQL_ASCII database a name may hold bytes that are not UTF-8; such
 * a one can be written neither in a query nor on a command line.
 */
export function isSpeakable(...names: readonly string[]): boolean {
  return !names.some((name) => name.includes('\ufffd'));
}
