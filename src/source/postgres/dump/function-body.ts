/**
 * Which functions, relations and types the text of a function (SQL, PL/pgSQL) names, and whether with a schema. A
 * static look that runs nothing and knows no more of the language than where such names stand: strings, comments and
 * dynamic SQL are passed over, so it may miss some.
 */

/** What the body of a function names. */
export interface NamedInBody {
  readonly kind: 'function' | 'relation' | 'type';
  /** Undefined: found by search_path. */
  readonly schema: string | undefined;
  readonly name: string;
}

/** Each once, in their order. */
export function namesInBody(body: string): NamedInBody[] {
  const tokens = tokensOf(body);
  const found = new Map<string, NamedInBody>();
  const made = commonTables(tokens);
  for (let at = 0; at < tokens.length; at++) {
    const named = nameAt(tokens, at);
    if (named === undefined || (named.schema === undefined && made.has(named.name))) continue;
    found.set(JSON.stringify([named.kind, named.schema, named.name]), named);
  }
  return [...found.values()];
}

interface Token {
  readonly text: string;
  readonly isName: boolean;
}

/** What is not closed reaches to the end: nothing is read twice. */
const forms = {
  comment: /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/,
  string: /[eE]?'(?:[^'\\]|''|\\[\s\S])*(?:'|$)|\$(\w*)\$[\s\S]*?(?:\$\1\$|$)/,
  quoted: /"((?:[^"]|"")*)(?:"|$)/,
  word: /[\p{L}_][\p{L}\p{N}_$]*/u,
  other: /::|[^\s]/,
};
const token = new RegExp(
  Object.values(forms)
    .map(({ source }) => source)
    .join('|'),
  'gu',
);

/** Names as PostgreSQL folds them. */
function tokensOf(body: string): Token[] {
  return [...body.matchAll(token)].flatMap(([text, , quoted]) => {
    if (/^(--|\/\*)/.test(text)) return [];
    if (quoted !== undefined) return { text: quoted.replaceAll('""', '"'), isName: true };
    const isName = /^[\p{L}_][^']*$/u.test(text);
    return { text: isName ? text.toLowerCase() : text, isName };
  });
}

const beforeRelation = new Set(['from', 'join', 'update', 'only', 'table']);

function nameAt(tokens: readonly Token[], at: number): NamedInBody | undefined {
  const word = tokens[at];
  const before = tokens[at - 1]?.text;
  if (word?.isName !== true || before === '.') return undefined;
  const isQualified = tokens[at + 1]?.text === '.' && tokens[at + 2]?.isName === true;
  const schema = isQualified ? word.text : undefined;
  const name = isQualified ? (tokens[at + 2]?.text ?? '') : word.text;
  const after = tokens[at + (isQualified ? 3 : 1)]?.text;
  if (before === '::') return { kind: 'type', schema, name };
  if (after === '(') return { kind: 'function', schema, name };
  const isRelation =
    (before !== undefined && beforeRelation.has(before)) ||
    (before === 'into' && tokens[at - 2]?.text === 'insert') ||
    (after === '%' && tokens[at + (isQualified ? 4 : 2)]?.text === 'rowtype');
  return isRelation ? { kind: 'relation', schema, name } : undefined;
}

/** WITH x AS (…): no relation of the database. */
function commonTables(tokens: readonly Token[]): Set<string> {
  return new Set(
    tokens.flatMap(({ text, isName }, at) =>
      isName && tokens[at + 1]?.text === 'as' && tokens[at + 2]?.text === '(' ? text : [],
    ),
  );
}
