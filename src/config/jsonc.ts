/**
 * JSON as people write it: with line and block comments and commas before a closing bracket. They are blanked
 * out, not cut out, so that positions in messages are those of the file.
 */

/** Parses the text; throws a SyntaxError whose message ends with line and column. */
export function parseJsonc(text: string): unknown {
  const plain = blankTrailingCommas(blankComments(text.replace(/^\uFEFF/, ' ')));
  try {
    return JSON.parse(plain);
  } catch (error) {
    throw new SyntaxError(describe(plain), { cause: error });
  }
}

const strings = String.raw`"(?:[^"\\]|\\.)*"`;
const commentOrString = new RegExp(String.raw`${strings}|//[^\n]*|/\*[\s\S]*?\*/`, 'g');
const commaOrString = new RegExp(String.raw`${strings}|,(?=\s*[}\]])`, 'g');

function blankComments(text: string): string {
  return text.replaceAll(commentOrString, (part) => (part.startsWith('"') ? part : part.replaceAll(/[^\n]/g, ' ')));
}

function blankTrailingCommas(text: string): string {
  return text.replaceAll(commaOrString, (part) => (part === ',' ? ' ' : part));
}

/** V8 quotes the text around the fault, which may be a secret, and leaves out the place: only the place is told. */
function describe(text: string): string {
  let [sound, broken] = [0, text.length + 1];
  while (broken - sound > 1) {
    const middle = (sound + broken) >>> 1;
    if (canGoOn(text.slice(0, middle))) sound = middle;
    else broken = middle;
  }
  const lines = text.slice(0, sound).split('\n');
  return `no valid JSON at line ${lines.length}, column ${(lines.at(-1) ?? '').length + 1}`;
}

/** True if the text is the beginning of some JSON document. */
function canGoOn(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    return /end of JSON|Unterminated/.test(message) || Number(/position (\d+)/.exec(message)?.[1]) === text.length;
  }
}
