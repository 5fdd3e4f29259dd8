/**
 * Key patterns as Redis' KEYS and SCAN understand them, on bytes: `*`, `?`, `[abc]`, `[^a-z]`, `\x`. Its
 * oddities are kept (an unclosed class ends with the pattern, `[a-]` begins a range), since operators try
 * a pattern with KEYS first. Never exponential: only the last star is tried again.
 */

/** A byte, any byte, one of a class, or any number of bytes. */
type Token = number | 'any' | 'star' | Uint8Array;

/** Compiles a pattern (UTF-8, as redis-cli sends it) to a test of keys. */
export function compileGlob(pattern: string): (key: Uint8Array) => boolean {
  const bytes = Buffer.from(pattern);
  if (pattern === '*') return () => true;
  const tokens = tokensOf(bytes);
  // Redis compares an empty key with nothing but an empty pattern (and "*" alone).
  return (key) => (key.length === 0 ? bytes.length === 0 : matches(tokens, key));
}

function matches(tokens: readonly Token[], key: Uint8Array): boolean {
  let token = 0;
  let at = 0;
  let starToken = -1;
  let starAt = 0;
  while (at < key.length) {
    const current = tokens[token];
    if (current === 'star') {
      starToken = token++;
      starAt = at;
    } else if (current !== undefined && matchesByte(current, key[at] as number)) {
      token++;
      at++;
    } else if (starToken >= 0) {
      token = starToken + 1;
      at = ++starAt;
    } else return false;
  }
  while (tokens[token] === 'star') token++;
  return token === tokens.length;
}

function matchesByte(token: Token, byte: number): boolean {
  return token === byte || token === 'any' || (token instanceof Uint8Array && token[byte] === 1);
}

function tokensOf(pattern: Buffer): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const byte = pattern[at] as number;
    if (byte === 0x2a) {
      if (tokens.at(-1) !== 'star') tokens.push('star');
    } else if (byte === 0x3f) tokens.push('any');
    else if (byte === 0x5b) {
      const { members, end } = classAt(pattern, at + 1);
      tokens.push(members);
      at = end;
    } else if (byte === 0x5c && at + 1 < pattern.length) tokens.push(pattern[++at] as number);
    else tokens.push(byte);
  }
  return tokens;
}

/** Reads a class that begins after its bracket; `end` is the place of the closing one, or of the last byte. */
function classAt(pattern: Buffer, start: number): { members: Uint8Array; end: number } {
  const members = new Uint8Array(256);
  const not = pattern[start] === 0x5e;
  let at = not ? start + 1 : start;
  for (; at < pattern.length && pattern[at] !== 0x5d; at++) {
    const byte = pattern[at] as number;
    if (byte === 0x5c && at + 1 < pattern.length) members[pattern[++at] as number] = 1;
    else if (pattern[at + 1] === 0x2d && at + 2 < pattern.length) {
      const other = pattern[at + 2] as number;
      members.fill(1, Math.min(byte, other), Math.max(byte, other) + 1);
      at += 2;
    } else members[byte] = 1;
  }
  if (not) for (let n = 0; n < 256; n++) members[n] = members[n] === 1 ? 0 : 1;
  return { members, end: at };
}
