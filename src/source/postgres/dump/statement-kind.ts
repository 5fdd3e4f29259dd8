/** What kind of statement somebody's text is, in words of our own: the text may hold secrets. */

/** The kinds that wait for a backup's locks. */
const kinds: readonly (readonly [begins: RegExp, kind: string])[] = [
  [/^ALTER\s+TABLE\b/i, 'ALTER TABLE'],
  [/^ALTER\s+INDEX\b/i, 'ALTER INDEX'],
  [/^ALTER\s/i, 'ALTER'],
  [/^TRUNCATE\b/i, 'TRUNCATE'],
  [/^VACUUM\b/i, 'VACUUM'],
  [/^CLUSTER\b/i, 'CLUSTER'],
  [/^REINDEX\b/i, 'REINDEX'],
  [/^LOCK\b/i, 'LOCK TABLE'],
  [/^DROP\s+TABLE\b/i, 'DROP TABLE'],
  [/^DROP\s+INDEX\b/i, 'DROP INDEX'],
  [/^DROP\s/i, 'DROP'],
  [/^CREATE\s/i, 'CREATE'],
  [/^REFRESH\s/i, 'REFRESH MATERIALIZED VIEW'],
];

/** "a statement" where it is none of those. */
export function statementKind(text: string): string {
  const statement = withoutComments(text);
  return kinds.find(([begins]) => begins.test(statement))?.[1] ?? 'a statement';
}

function withoutComments(text: string): string {
  const comment = /^(\s+|--[^\n]*\n|\/\*[^]*?\*\/|;)/;
  let rest = text;
  for (let found = comment.exec(rest); found !== null; found = comment.exec(rest)) rest = rest.slice(found[0].length);
  return rest;
}
