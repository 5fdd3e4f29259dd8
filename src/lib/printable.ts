/**
 * Text from servers, files and people, made safe to print: no escape sequence reaches the terminal, no line is
 * broken, nothing turns the direction of what follows, and nothing hides in what cannot be seen.
 */

/**
 * On one line: what would break it or drive the terminal stands there as JSON has it, `\u` and four hexadecimal digits.
 */
export function printable(text: string): string {
  return text.replaceAll(unsafe, escaped);
}

/** The same for text of several lines, which stay. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** The same for a whole document, which may be JSON: lines and tabs stay. */
export function printableText(text: string): string {
  return text.replaceAll(unsafe, (each) => (each === '\n' || each === '\t' ? each : escaped(each)));
}

/** A value with each text in it on one line, names of members too. What is neither list, Map nor plain object stays. */
export function printableValue<T>(value: T): T {
  return printed(value) as T;
}

function printed(value: unknown): unknown {
  if (typeof value === 'string') return printable(value);
  if (Array.isArray(value)) return value.map(printed);
  if (value instanceof Map) return new Map([...value].map(([key, each]) => [printed(key), printed(each)]));
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [printable(key), printed(each)]));
}

function escaped(text: string): string {
  return text
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');
}

/**
 * Control characters, halves of surrogate pairs, line and paragraph separators, marks of writing direction, and what is
 * not to be seen, but for joiners and the choice of an emoji's look, which belong to words.
 */
const unsafe = new RegExp(
  '(?!\\u200c|\\u200d|\\ufe0e|\\ufe0f)' +
    '[\\p{Cc}\\p{Cs}\\u2028\\u2029\\p{Bidi_Control}\\ufff9-\\ufffb\\p{Default_Ignorable_Code_Point}]',
  'gu',
);
