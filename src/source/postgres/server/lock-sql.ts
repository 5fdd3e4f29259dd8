/** Statements that take ACCESS SHARE on tables, as a dump holds it: against others who change them, and nobody else. */

/** Names in a statement: the server keeps each list of names in memory, and tells which of them it failed at. */
const batch = 200;

/** For tables, but not their children; `tables`: quoted names. Inside a transaction. */
export function lockStatements(tables: readonly string[]): string[] {
  const starts = Array.from({ length: Math.ceil(tables.length / batch) }, (_, n) => n * batch);
  return starts.map((at) => {
    const names = tables.slice(at, at + batch).map((each) => `ONLY ${each}`);
    return `LOCK TABLE ${names.join(', ')} IN ACCESS SHARE MODE`;
  });
}
