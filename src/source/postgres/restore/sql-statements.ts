/**
 * SQL scripts of pg_dumpall as single statements. Only what such scripts hold is understood: strings, quoted names,
 * line comments, psql's \restrict lines.
 */

/** Statements without their semicolon, comments and psql commands left out. */
export function splitStatements(script: string): string[] {
  const statements: string[] = [];
  let current = '';
  const token =
    /--[^\n]*|[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|;|\\[^\n]*|[A-Za-z_][A-Za-z_0-9$]*|[^]/gy;
  for (const [text] of script.matchAll(token)) {
    if (text === ';') {
      if (current.trim() !== '') statements.push(current.trim());
      current = '';
      // A backslash begins a psql command only where a statement may begin.
    } else if (!text.startsWith('--') && !(text.startsWith('\\') && current.trim() === '')) current += text;
  }
  if (current.trim() !== '') statements.push(current.trim());
  return statements;
}

/** Reads a name at the front of `text`, quoted or plain; undefined if none is there. */
export function readIdentifier(text: string): string | undefined {
  const [, quoted, plain] = /^\s*(?:"((?:[^"]|"")+)"|([^\s";,]+))/.exec(text) ?? [];
  return quoted === undefined ? plain : quoted.replaceAll('""', '"');
}
