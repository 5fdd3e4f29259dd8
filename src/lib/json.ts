/**
 * JSON from others: what is deeper than any document of ours is refused before it is parsed, since whoever goes through
 * it would run out of stack.
 */

/** Levels of lists and objects; the deepest of ours (facts) have about ten. */
export const maxJsonDepth = 100;

/** Like JSON.parse; throws SyntaxError also for what is nested too deeply. */
export function parseJson(text: string): unknown {
  if (isTooDeep(text)) throw new SyntaxError(`it is more than ${maxJsonDepth} levels deep`);
  return JSON.parse(text);
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  for (const [token] of text.matchAll(/[[{}\]]|"(?:[^"\\]|\\.)*"?/gs)) {
    if (token === '[' || token === '{') depth++;
    else if (token === ']' || token === '}') depth--;
    if (depth > maxJsonDepth) return true;
  }
  return false;
}
