/**
 * Patterns for paths: a documented subset of what .gitignore knows. `*` any run of characters but `/`,
 * `?` one character, `[a-z]` and `[!a-z]` one of or none of a set, `**` any number of folders, `\x` the
 * character x itself. A pattern with a slash at its start or inside it is anchored at the root path; one
 * without matches a name in any folder. A slash at its end: folders only. `!` before it takes back what
 * an earlier pattern matched; the last match decides. Matching takes time in proportion to pattern
 * times name: no pattern can make a backup hang.
 */
import { LifeboatError } from '../../lib/errors.ts';

type Token =
  | { readonly kind: 'character'; readonly character: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'star' }
  | { readonly kind: 'set'; readonly negated: boolean; readonly ranges: readonly (readonly [number, number])[] };

/** One folder level: a name to match, or `**`. */
type Level = readonly Token[] | '**';

interface Pattern {
  readonly negated: boolean;
  readonly foldersOnly: boolean;
  readonly levels: readonly Level[];
}

/** Decides about one path: components of its text (decodeName) below the root, whether it is a folder. */
export type PathMatcher = (components: readonly string[], isFolder: boolean) => boolean;

/**
 * Compiles patterns, in order; throws (usage) for one that cannot be read. Empty lines and lines that begin with `#`
 * match nothing.
 */
export function compilePatterns(patterns: readonly string[]): PathMatcher {
  const compiled = patterns.filter((text) => text !== '' && !text.startsWith('#')).map(compile);
  return (components, isFolder) => {
    for (let at = compiled.length - 1; at >= 0; at--) {
      const pattern = compiled[at];
      if (pattern === undefined || (pattern.foldersOnly && !isFolder)) continue;
      if (matchLevels(pattern.levels, components)) return !pattern.negated;
    }
    return false;
  };
}

/** True if the text holds a character that makes it a pattern and not just a path. */
export function hasWildcard(text: string): boolean {
  return /[*?[]/.test(text);
}

function compile(text: string): Pattern {
  const negated = text.startsWith('!');
  let rest = negated ? text.slice(1) : text;
  const foldersOnly = rest.endsWith('/') && !rest.endsWith('\\/');
  if (foldersOnly) rest = rest.replace(/\/+$/, '');
  const anchored = rest.includes('/');
  const names = rest.replace(/^\/+/, '').split(/\/+/);
  if (names.length === 1 && names[0] === '') {
    throw new LifeboatError('usage', `"${text}" is not a pattern: it names nothing`);
  }
  const levels: Level[] = anchored ? [] : ['**'];
  for (const name of names) levels.push(name === '**' ? '**' : parseName(name, text));
  return { negated, foldersOnly, levels };
}

function parseName(name: string, pattern: string): Token[] {
  const characters = [...name];
  const tokens: Token[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? '';
    if (character === '*') {
      if (tokens.at(-1)?.kind !== 'star') tokens.push({ kind: 'star' });
    } else if (character === '?') {
      tokens.push({ kind: 'any' });
    } else if (character === '[') {
      const { token, end } = parseSet(characters, at, pattern);
      tokens.push(token);
      at = end;
    } else {
      if (character === '\\') at++;
      const literal = characters[at];
      if (literal === undefined) {
        throw new LifeboatError('usage', `"${pattern}" is not a pattern: it ends in a backslash`, {
          hint: 'write \\\\ for a backslash',
        });
      }
      tokens.push({ kind: 'character', character: literal });
    }
  }
  return tokens;
}

function parseSet(characters: readonly string[], start: number, pattern: string): { token: Token; end: number } {
  let at = start + 1;
  const negated = characters[at] === '!' || characters[at] === '^';
  if (negated) at++;
  const ranges: [number, number][] = [];
  const first = at;
  for (; at < characters.length; at++) {
    if (characters[at] === ']' && at > first) return { token: { kind: 'set', negated, ranges }, end: at };
    if (characters[at] === '\\') at++;
    const from = characters[at]?.codePointAt(0) ?? 0;
    const isRange = characters[at + 1] === '-' && characters[at + 2] !== undefined && characters[at + 2] !== ']';
    const to = isRange ? (characters[at + 2]?.codePointAt(0) ?? 0) : from;
    if (to < from) throw new LifeboatError('usage', `"${pattern}" is not a pattern: a range in [] runs backwards`);
    ranges.push([from, to]);
    if (isRange) at += 2;
  }
  throw new LifeboatError('usage', `"${pattern}" is not a pattern: "[" without "]"`, {
    hint: 'write \\[ for a bracket in a name',
  });
}

/** Greedy with one point to come back to, as for `*` in a name: the newest `**` takes one more level. */
function matchLevels(levels: readonly Level[], components: readonly string[]): boolean {
  let level = 0;
  let at = 0;
  let backLevel = -1;
  let backAt = 0;
  while (at < components.length) {
    const wanted = levels[level];
    if (wanted === '**') {
      // `a/**` is what lies in a, not a itself; `**` inside may stand for no folder at all.
      if (level === levels.length - 1) return true;
      backLevel = level++;
      backAt = at;
    } else if (wanted !== undefined && matchName(wanted, components[at] ?? '')) {
      level++;
      at++;
    } else if (backLevel === -1) {
      return false;
    } else {
      level = backLevel + 1;
      at = ++backAt;
    }
  }
  return level === levels.length;
}

function matchName(tokens: readonly Token[], name: string): boolean {
  const characters = [...name];
  let token = 0;
  let at = 0;
  let backToken = -1;
  let backAt = 0;
  while (at < characters.length) {
    const wanted = tokens[token];
    if (wanted?.kind === 'star') {
      backToken = token++;
      backAt = at;
    } else if (wanted !== undefined && matchOne(wanted, characters[at] ?? '')) {
      token++;
      at++;
    } else if (backToken === -1) {
      return false;
    } else {
      token = backToken + 1;
      at = ++backAt;
    }
  }
  while (tokens[token]?.kind === 'star') token++;
  return token === tokens.length;
}

function matchOne(token: Token, character: string): boolean {
  if (token.kind === 'any') return true;
  if (token.kind === 'character') return token.character === character;
  if (token.kind === 'star') return false;
  const code = character.codePointAt(0) ?? 0;
  return token.ranges.some(([from, to]) => code >= from && code <= to) !== token.negated;
}
